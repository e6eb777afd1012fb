"""Directing by page and API: who talks and waits call by call, holding back, handing out."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.tables import appeal
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_control import QueueControl
from tests.polling import until
from tests.web.browser import visible
from tests.web.conftest import RECEIVED, Enter, open_call
from tests.web.test_join_call import audited
from tests.web.test_presence import distributor, post  # noqa: F401 a fixture

WHY = "a fire drill"


@dataclass
class Busy:
    """201 talks with the first call; the second waits in Kazakh."""

    distributor: RedisCallDistributor
    offered: "asyncio.Task[object]"


@pytest.fixture
async def busy(
    redis: Redis,
    engine: AsyncEngine,
    settings: Settings,
    distributor: RedisCallDistributor,  # noqa: F811
) -> AsyncIterator[Busy]:
    for call_id in ("1.1", "1.2"):
        await open_call(engine, call_id, RECEIVED)
    running = asyncio.create_task(distributor.run())
    presence = PresenceService(redis, settings)
    await presence.ask("201", PresenceState.READY, by="self")
    async with distributor.place("1.1", "kk") as talks, distributor.place("1.2", "kk") as waits:
        assert await talks.wait_for_offer(5) is not None
        talks.mark_answered()
        offered = asyncio.create_task(waits.wait_for_offer(20))

        async def is_so() -> bool:
            talking = (await presence.of("201")).state is PresenceState.TALKING
            return talking and await redis.hexists("desk:calls", "1.2")

        await until(is_so, "one talks and one waits")
        yield Busy(distributor, offered)
        offered.cancel()
        await asyncio.gather(offered, return_exceptions=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_wallboard_shows_talking_and_waiting_with_masked_numbers(
    head: httpx.AsyncClient, busy: Busy
) -> None:
    floor = (await head.get("/api/v1/floor")).json()
    (talk,) = floor["talks"]
    assert talk["consultant"] == "201"
    assert talk["register"]["caller"] == "+7 701 *** ** 67"
    (waits,) = floor["waiting"]
    assert (waits["call"], waits["language"]) == ("1.2", "kk")
    page = (await head.get("/live")).text
    assert 'href="/live/consultants/201" data-row' in page
    assert "+7 701 *** ** 67" in visible(page)
    assert "+77012345667" not in page


async def test_who_is_in_danger_stands_first_and_marked(
    head: httpx.AsyncClient, busy: Busy, redis: Redis, engine: AsyncEngine
) -> None:
    head.headers["accept-language"] = "en"
    await open_call(engine, "1.3", RECEIVED)
    async with unit_of_work(engine) as connection:
        await connection.execute(
            update(appeal).where(appeal.c.call_id == "1.3").values(urgent=["danger"])
        )
    async with busy.distributor.place("1.3", "kk", urgent=True) as place:
        waits = asyncio.create_task(place.wait_for_offer(20))

        async def is_first() -> bool:
            floor = (await head.get("/api/v1/floor")).json()
            return [(each["call"], each["urgent"]) for each in floor["waiting"]] == [
                ("1.3", True),
                ("1.2", False),
            ]

        await until(is_first, "who came later and is in danger stands first")
        assert (await head.get("/api/v1/live")).json()["desk"]["waiting"]["urgent"] == 1
        async with asyncio.timeout(30):
            async with head.stream("GET", "/live/queue/events") as events:
                streamed = "".join([line async for line in events.aiter_lines() if "data" in line])
        for text in (
            (await head.get("/live")).text,
            (await head.get("/live/queue")).text,
            streamed,
        ):
            assert text.index('<tr class="urgent">') < text.index("call=1.2")
            assert "danger" in visible(text)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)


async def test_who_may_see_figures_only_sees_no_call(enter: Enter, busy: Busy) -> None:
    async with enter(Role.ADMINISTRATOR) as client:
        page = await client.get("/live")
        assert page.status_code == 200
        assert "701" not in visible(page.text)
        assert "/live/consultants/" not in page.text


async def test_a_queue_is_paused_and_resumed_by_page_with_audit(
    head: httpx.AsyncClient, busy: Busy, redis: Redis, settings: Settings, engine: AsyncEngine
) -> None:
    answer = await post(head, "/live/queue/hold", queue="kk", minutes="5", reason=WHY)
    assert answer.status_code == 303
    await PresenceService(redis, settings).ask("202", PresenceState.READY, by="self")
    (hold,) = await QueueControl(redis, settings).paused_queues()
    assert (hold.queue, hold.reason) == ("kk", WHY)

    async def is_shown() -> bool:
        return WHY in visible((await head.get("/live")).text)

    await until(is_shown, "the pause is shown")
    assert not busy.offered.done()
    assert (await post(head, "/live/queue/let-on", queue="kk")).status_code == 303
    assert await busy.offered is not None
    assert [(action, subject, detail) for action, subject, detail in await audited(engine)] == [
        ("web:queue:held_back", "queue:kk", {"minutes": "5", "reason": WHY}),
        ("web:queue:let_on", "queue:kk", {}),
    ]


async def test_a_call_is_handed_out_by_the_page(
    head: httpx.AsyncClient, busy: Busy, redis: Redis, settings: Settings, engine: AsyncEngine
) -> None:
    await QueueControl(redis, settings).pause_queue("all", 60, by="user:test", reason=WHY)
    await PresenceService(redis, settings).ask("202", PresenceState.READY, by="self")
    assert 'href="/live/queue?call=1.2"' in (await head.get("/live")).text
    assert '<option value="202">' in (await head.get("/live/queue?call=1.2")).text
    answer = await post(head, "/live/queue/hand-out", call="1.2", extension="202")
    assert answer.status_code == 303
    offered = await busy.offered
    assert getattr(offered, "extension", None) == "202"
    assert (await audited(engine))[-1] == (
        "web:call:handed_out",
        "call:1.2",
        {"consultant": "202"},
    )
    head.headers["accept-language"] = "en"
    async with busy.distributor.place("1.3", "ru") as other:
        waits = asyncio.create_task(other.wait_for_offer(20))

        async def is_so() -> bool:
            return bool(await redis.hexists("desk:calls", "1.3"))

        await until(is_so, "a caller waits for Russian, which nobody speaks")
        refused = await post(head, "/live/queue/hand-out", call="1.3", extension="202")
        assert refused.status_code == 400
        assert "does not speak the language of the caller" in visible(refused.text)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
    again = await post(head, "/live/queue/hand-out", call="1.2", extension="202")
    assert again.status_code == 400
    assert "does not wait any more" in visible(again.text)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/v1/queues/en/hold", {"minutes": "5", "reason": WHY}),
        ("/api/v1/queues/kk/hold", {"minutes": "61", "reason": WHY}),
        ("/api/v1/queues/kk/hold", {"minutes": "0", "reason": WHY}),
        ("/api/v1/queues/kk/hold", {"minutes": "nan", "reason": WHY}),
        ("/api/v1/queues/kk/hold", {"minutes": "5", "reason": " "}),
        ("/api/v1/queues/en/let-on", {}),
        ("/api/v1/waiting/9.9/hand-out", {"extension": "201"}),
        ("/api/v1/waiting/9.9/hand-out", {}),
    ],
)
async def test_an_invalid_request_is_refused(
    head: httpx.AsyncClient, busy: Busy, engine: AsyncEngine, path: str, fields: dict[str, str]
) -> None:
    assert (await post(head, path, **fields)).status_code == 400
    assert await audited(engine) == []


async def test_a_supervisor_sends_a_consultant_to_a_pause(
    head: httpx.AsyncClient, busy: Busy, redis: Redis, settings: Settings
) -> None:
    page = await head.get("/live/consultants/201")
    assert page.status_code == 200
    assert "+7 701 *** ** 67" in visible(page.text)
    head.headers["accept-language"] = "en"
    path = "/live/consultants/201/supervision"
    refused = await post(head, path, mode="listen", reason="training")
    assert refused.status_code == 400
    assert "You have no telephone here" in visible(refused.text)
    address = "/live/consultants/{}/duty"
    assert (
        await post(head, address.format(201), state="paused", reason="lunch")
    ).status_code == 303
    assert (await PresenceService(redis, settings).of("201")).after is PresenceState.PAUSED
    refused = await post(head, address.format(202), state="paused", reason="lunch")
    assert refused.status_code == 400
    assert "cannot be sent there" in visible(refused.text)
    assert (await head.get("/live/consultants/999")).status_code == 404
