"""Directing by page and API: who talks and waits call by call, holding back, handing out."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.desk import Desk
from callcenter.consultants.directing import Directing
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.states import State
from callcenter.settings import Settings
from callcenter.web.permissions import Role
from tests.web.browser import visible
from tests.web.conftest import RECEIVED, Enter, open_call
from tests.web.live import until
from tests.web.test_duty import desk, post  # noqa: F401 a fixture
from tests.web.test_supervising import audited

WHY = "a fire drill"


@dataclass
class Busy:
    """201 talks with the first call; the second waits in Kazakh."""

    desk: Desk
    offered: "asyncio.Task[object]"


@pytest.fixture
async def busy(
    redis: Redis,
    engine: AsyncEngine,
    settings: Settings,
    desk: Desk,  # noqa: F811
) -> AsyncIterator[Busy]:
    for call_id in ("1.1", "1.2"):
        await open_call(engine, call_id, RECEIVED)
    running = asyncio.create_task(desk.run())
    duty = DutyDesk(redis, settings)
    await duty.ask("201", State.READY, by="self")
    async with desk.place("1.1", "kk") as talks, desk.place("1.2", "kk") as waits:
        assert await talks.offer(5) is not None
        talks.answered()
        offered = asyncio.create_task(waits.offer(20))

        async def is_so() -> bool:
            talking = (await duty.of("201")).state is State.TALKING
            return talking and await redis.hexists("desk:calls", "1.2")

        await until(is_so, "one talks and one waits")
        yield Busy(desk, offered)
        offered.cancel()
        await asyncio.gather(offered, return_exceptions=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_floor_says_who_talks_and_who_waits_with_masked_numbers(
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


async def test_who_may_see_figures_only_sees_no_call(enter: Enter, busy: Busy) -> None:
    async with enter(Role.ADMINISTRATOR) as client:
        page = await client.get("/live")
        assert page.status_code == 200
        assert "701" not in visible(page.text)
        assert "/live/consultants/" not in page.text


async def test_a_queue_is_held_back_and_let_on_by_the_page_and_the_log_says_so(
    head: httpx.AsyncClient, busy: Busy, redis: Redis, settings: Settings, engine: AsyncEngine
) -> None:
    answer = await post(head, "/live/queue/hold", queue="kk", minutes="5", reason=WHY)
    assert answer.status_code == 303
    await DutyDesk(redis, settings).ask("202", State.READY, by="self")
    (hold,) = await Directing(redis, settings).holds()
    assert (hold.queue, hold.reason) == ("kk", WHY)
    await asyncio.sleep(0.6)  # longer than what was read counts as fresh
    assert WHY in visible((await head.get("/live")).text)
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
    await Directing(redis, settings).hold_back("all", 60, by="user:test", reason=WHY)
    await DutyDesk(redis, settings).ask("202", State.READY, by="self")
    page = (await head.get("/live/queue")).text
    assert '<option value="202">' in page
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
    async with busy.desk.place("1.3", "ru") as other:
        waits = asyncio.create_task(other.offer(20))

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
async def test_what_is_asked_wrongly_is_refused(
    head: httpx.AsyncClient, busy: Busy, engine: AsyncEngine, path: str, fields: dict[str, str]
) -> None:
    assert (await post(head, path, **fields)).status_code == 400
    assert await audited(engine) == []


async def test_the_page_of_a_consultant_sends_to_a_pause_and_tells_why_not(
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
    duty = "/live/consultants/{}/duty"
    assert (await post(head, duty.format(201), state="paused", reason="lunch")).status_code == 303
    assert (await DutyDesk(redis, settings).of("201")).after is State.PAUSED
    refused = await post(head, duty.format(202), state="paused", reason="lunch")
    assert refused.status_code == 400
    assert "cannot be sent there" in visible(refused.text)
    assert (await head.get("/live/consultants/999")).status_code == 404
