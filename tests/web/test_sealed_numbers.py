"""A withheld number that is kept for a trace: two people open it, once, and its term ends."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pyrage import x25519
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.masking.store import find_reasons
from callcenter.appeals.record import personal_data
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.retention import store as retention
from callcenter.recordings.sealing import keys
from callcenter.telephony.callers.sealed_numbers import store
from callcenter.telephony.callers.sealed_numbers.sealing import seal_number
from callcenter.telephony.callers.sealed_numbers.tables import number_opening, sealed_number
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter
from tests.web.test_records import rows

NUMBER = "+77010009917"
NOW = datetime.now(UTC)
REASON = "She said that he has a knife"
AUDITED = (
    "SELECT action, detail - 'asked_by' - 'approved_by' FROM audit_entry"
    " WHERE action LIKE 'web:number:%' ORDER BY id"
)
COUNT = "SELECT count(*)::int FROM sealed_number"


@pytest.fixture
async def withheld(settings: Settings, engine: AsyncEngine, call: Call) -> Call:
    """A call whose withheld number is kept for a day more."""
    sealed = seal_number(call.id, NUMBER, [keys.read(settings.keys).public])
    async with unit_of_work(engine) as connection:
        await store.add(
            connection,
            appeal_id=call.id,
            sealed=sealed,
            basis="Law 000-V, article 1",
            until=NOW + timedelta(days=1),
        )
    return call


async def sent(client: httpx.AsyncClient, path: str, **values: str) -> httpx.Response:
    token = await form_token(client, "/sealed-numbers")
    return await client.post(
        path, data={"form_token": token} | values, headers={"accept-language": "en"}
    )


async def ask(client: httpx.AsyncClient, engine: AsyncEngine, call: Call) -> str:
    """Ask for the number; the path of the request."""
    answer = await sent(client, f"/appeals/{call.number}/sealed-number", reason=REASON)
    assert answer.headers["location"] == "/sealed-numbers"
    [(opening,)] = await rows(engine, "SELECT id FROM number_opening WHERE state = 'asked'")
    return f"/sealed-numbers/{opening}"


async def end_term(engine: AsyncEngine, requested_before: timedelta) -> None:
    """Let the term have ended half an hour ago, and requests be made so long before now."""
    ended = update(sealed_number).values(until=NOW - timedelta(minutes=30))
    requests = update(number_opening).values(asked_at=NOW - requested_before)
    async with unit_of_work(engine) as connection:
        await connection.execute(ended)
        await connection.execute(requests)


async def audited(engine: AsyncEngine) -> Sequence[tuple[str, dict[str, Any]]]:
    return [
        (action.removeprefix("web:number:"), said) for action, said in await rows(engine, AUDITED)
    ]


async def test_one_asks_another_approves_and_the_number_is_shown_once(
    enter: Enter, engine: AsyncEngine, withheld: Call
) -> None:
    async with enter(Role.SENIOR) as senior, enter(Role.HEAD) as head, enter(Role.SENIOR) as third:
        senior.headers["accept-language"] = "en"
        page = (await senior.get(f"/appeals/{withheld.number}")).text
        assert "It is stored sealed until" in visible(page)
        assert NUMBER not in page
        opening = await ask(senior, engine, withheld)
        alone = await sent(senior, f"{opening}/decision", approve="true", reason="I am sure")
        assert alone.status_code == 400
        assert "another person decides" in visible(alone.text)
        assert (await sent(senior, f"{opening}/number")).status_code == 400
        approved = await sent(head, f"{opening}/decision", approve="true", reason="Heard it")
        assert approved.status_code == 303
        assert NUMBER not in (await head.get("/sealed-numbers")).text
        assert (await sent(third, f"{opening}/number")).status_code == 400
        shown = await sent(senior, f"{opening}/number")
        assert f"The number of the caller: {NUMBER}" in visible(shown.text)
        assert shown.headers["cache-control"] == "no-store"
        again = await sent(head, f"{opening}/number")
        assert again.status_code == 400
        assert NUMBER not in again.text
    assert await audited(engine) == [
        ("asked", {"reason": REASON}),
        ("denied", {"why": "asked"}),
        ("approved", {"reason": "Heard it"}),
        ("denied", {"why": "stranger"}),
        ("opened", {"reason": REASON}),
        ("denied", {"why": "opened"}),
    ]
    own = "SELECT subject FROM audit_entry WHERE action = 'web:approval:self_refused'"
    assert await rows(engine, own) == [(f"number_opening:{opening.rpartition('/')[2]}",)]
    people = "SELECT detail ?& ARRAY['asked_by', 'approved_by'] FROM audit_entry"
    assert await rows(engine, f"{people} WHERE action = 'web:number:opened'") == [(True,)]


async def test_a_refused_request_opens_nothing(
    enter: Enter, engine: AsyncEngine, withheld: Call
) -> None:
    async with enter(Role.SENIOR) as senior, enter(Role.HEAD) as head:
        opening = await ask(senior, engine, withheld)
        unfounded = await sent(head, f"{opening}/decision", approve="false", reason=" ")
        assert unfounded.status_code == 400
        refused = await sent(head, f"{opening}/decision", approve="false", reason="No danger")
        assert refused.status_code == 303
        assert (await sent(senior, f"{opening}/number")).status_code == 400
    assert [action for action, _ in await audited(engine)] == ["asked", "refused", "denied"]


async def test_a_number_that_no_key_opens_is_audited_and_reported(
    enter: Enter, engine: AsyncEngine, withheld: Call
) -> None:
    elsewhere = x25519.Identity.generate().to_public()
    lost = seal_number(withheld.id, NUMBER, [str(elsewhere)])
    async with unit_of_work(engine) as connection:
        await connection.execute(update(sealed_number).values(sealed=lost))
    async with enter(Role.SENIOR) as senior, enter(Role.HEAD) as head:
        opening = await ask(senior, engine, withheld)
        await sent(head, f"{opening}/decision", approve="true", reason="Heard it")
        tried = await sent(senior, f"{opening}/number")
        assert tried.status_code == 500
        assert "cannot be opened with the available keys" in visible(tried.text)
    assert (await audited(engine))[-1] == ("denied", {"why": "unreadable"})
    assert await rows(engine, "SELECT state FROM number_opening") == [("approved",)]


async def test_a_number_past_its_term_is_not_opened(
    enter: Enter, engine: AsyncEngine, withheld: Call
) -> None:
    async with enter(Role.SENIOR) as senior, enter(Role.HEAD) as head:
        opening = await ask(senior, engine, withheld)
        await sent(head, f"{opening}/decision", approve="true", reason="Heard it")
        await end_term(engine, requested_before=timedelta(hours=80))  # no job has erased it yet
        page = (await senior.get(f"/appeals/{withheld.number}")).text
        assert "sealed-number" not in page.partition("<main")[2]
        assert opening not in (await senior.get("/sealed-numbers")).text
        again = await sent(senior, f"/appeals/{withheld.number}/sealed-number", reason=REASON)
        assert again.status_code == 400
        shown = await sent(senior, f"{opening}/number")
        assert shown.status_code == 400
        assert NUMBER not in shown.text
    assert (await audited(engine))[-1] == ("denied", {"why": "gone"})


async def test_asking_again_does_not_keep_a_number_on(
    enter: Enter, engine: AsyncEngine, withheld: Call
) -> None:
    async with enter(Role.SENIOR) as senior, enter(Role.HEAD) as head:
        opening = await ask(senior, engine, withheld)
        await end_term(engine, requested_before=timedelta(hours=1))
        assert opening in (await head.get("/sealed-numbers")).text  # it was asked for in time
        await sent(head, f"{opening}/decision", approve="true", reason="Heard it")
        await ask(senior, engine, withheld)
        async with unit_of_work(engine) as connection:
            later = NOW + timedelta(hours=71, minutes=30)
            assert await store.erase_expired(connection, later) == 1


@pytest.mark.parametrize("role", [Role.CONSULTANT, Role.ADMINISTRATOR, Role.AUDITOR])
async def test_other_roles_neither_see_nor_ask(
    enter: Enter, engine: AsyncEngine, withheld: Call, role: Role
) -> None:
    async with enter(role) as client:
        assert (await client.get("/sealed-numbers")).status_code == 403
        token = await form_token(client, "/")
        answer = await client.post(
            f"/appeals/{withheld.number}/sealed-number",
            data={"form_token": token, "reason": REASON},
        )
        assert answer.status_code == 403
    assert await rows(engine, "SELECT id FROM number_opening") == []


async def test_a_number_outlives_its_term_when_held_or_requested(
    enter: Enter, engine: AsyncEngine, withheld: Call
) -> None:
    async def erased(after: timedelta) -> int:
        async with unit_of_work(engine) as connection:
            return await store.erase_expired(connection, NOW + after)

    assert await erased(timedelta(hours=23)) == 0
    async with unit_of_work(engine) as connection:
        await retention.hold(connection, [withheld.recording], "order:1")
    assert await erased(timedelta(days=2)) == 0
    async with unit_of_work(engine) as connection:
        await retention.release(connection, "order:1")
    async with enter(Role.SENIOR) as senior:
        opening = await ask(senior, engine, withheld)
        assert await erased(timedelta(days=2)) == 0
        async with unit_of_work(engine) as connection:
            assert "number_trace" in await find_reasons(connection, withheld.id, NOW)
        assert await erased(timedelta(days=4)) == 1
        assert await rows(engine, COUNT) == [(0,)]
        assert opening not in (await senior.get("/sealed-numbers")).text
        page = (await senior.get(f"/appeals/{withheld.number}")).text
        assert "sealed-number" not in page.partition("<main")[2]


async def test_masking_erases_the_sealed_number(engine: AsyncEngine, withheld: Call) -> None:
    assert await rows(engine, COUNT) == [(1,)]
    async with unit_of_work(engine) as connection:
        await personal_data.erase(connection, withheld.id)
    assert await rows(engine, COUNT) == [(0,)]
