"""Recordings are found with their reasons, frozen and chosen; other conversations stay shut."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import matches_store, service
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.states import (
    DemandState,
    DemandStep,
    IllegalDemandStep,
    NotAuthorised,
    RefusalGround,
)
from callcenter.demands.store import DemandRow, StaleDemand
from callcenter.platform.core.errors import InvalidRequest, SelfApproval
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.retention.store import reasons_of
from tests.demands.conftest import HEAD, OFFICER, demand_form, person
from tests.demands.recorded import CALLER, TALKED_AT, talk
from tests.demands.test_registering import audited, found

HOUR = timedelta(hours=1)


async def demanded(engine: AsyncEngine, **criteria: object) -> DemandRow:
    return await service.register(engine, OFFICER, demand_form(criteria=SearchCriteria(**criteria)))  # type: ignore[arg-type]


async def matched(engine: AsyncEngine, row: DemandRow) -> list[matches_store.Match]:
    async with unit_of_work(engine) as connection:
        return await matches_store.matches(connection, row.id)


async def held(engine: AsyncEngine, recording_id: UUID) -> list[str]:
    async with unit_of_work(engine) as connection:
        return await reasons_of(connection, recording_id)


async def test_demanded_recordings_are_found_and_held_at_registration(
    engine: AsyncEngine,
) -> None:
    number, recording_id = await talk(engine)
    row = await demanded(engine, appeal_number=number)
    assert (row.state, row.version) == (DemandState.FOUND, 2)
    (match,) = await matched(engine, row)
    assert (match.recording_id, match.reasons, match.chosen) == (recording_id, ["appeal"], False)
    assert await held(engine, recording_id) == [f"demand:{row.number}"]
    assert (await audited(engine))[-1] == ("system:demands", "web:demand:searched", "1 fit")


async def test_the_callers_other_conversations_are_not_opened(engine: AsyncEngine) -> None:
    _, expected = await talk(engine)
    _, later = await talk(engine, at=TALKED_AT + 3 * HOUR)
    _, of_another = await talk(engine, caller="+77019999999")
    _, overlapping = await talk(engine, at=TALKED_AT - timedelta(minutes=3))
    row = await demanded(engine, caller_number=CALLER, since=TALKED_AT, until=TALKED_AT + HOUR)
    assert {each.recording_id: each.reasons for each in await matched(engine, row)} == {
        expected: ["caller", "within"],
        overlapping: ["caller", "overlaps"],
    }
    assert await held(engine, later) == await held(engine, of_another) == []


async def test_a_consultants_conversations_are_found_by_time(engine: AsyncEngine) -> None:
    _, first = await talk(engine)
    await talk(engine, extension="2002")
    await talk(engine, extension=None)
    row = await demanded(engine, extension="2001", since=TALKED_AT, until=TALKED_AT + HOUR)
    assert [each.recording_id for each in await matched(engine, row)] == [first]


async def test_nothing_is_opened_for_an_unauthorised_body(
    engine: AsyncEngine,
) -> None:
    number, recording_id = await talk(engine)
    criteria = SearchCriteria(appeal_number=number)
    row = await service.register(engine, OFFICER, demand_form(sender="Банк", criteria=criteria))
    assert (await found(engine, row.number)).state == DemandState.REGISTERED
    with pytest.raises(NotAuthorised):
        await service.search(engine, OFFICER, row.number, 1)
    assert await matched(engine, row) == []
    assert await held(engine, recording_id) == []
    await service.refuse(engine, HEAD, row.number, 1, RefusalGround.NOT_AUTHORISED, "a bank")


async def test_a_demand_for_too_much_is_frozen_and_opens_nothing(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matches_store, "MOST", 1)
    _, recording_id = await talk(engine)
    await talk(engine, at=TALKED_AT + timedelta(minutes=10))
    _, of_another = await talk(engine, extension="2002")
    row = await demanded(engine, extension="2001", since=TALKED_AT, until=TALKED_AT + HOUR)
    assert row.state == DemandState.REGISTERED
    assert await matched(engine, row) == []
    assert await held(engine, recording_id) == [f"demand:{row.number}"]
    assert await held(engine, of_another) == []
    with pytest.raises(matches_store.TooManyMatches):
        await service.search(engine, OFFICER, row.number, 1)
    await service.withdraw(engine, OFFICER, row.number, 1, "it is demanded more exactly")
    assert await held(engine, recording_id) == []


async def test_a_recording_under_two_demands_stays_frozen_for_the_other(
    engine: AsyncEngine,
) -> None:
    number, recording_id = await talk(engine)
    first = await demanded(engine, appeal_number=number)
    second = await demanded(engine, appeal_number=number)
    assert (await matched(engine, first))[0].other_demands == [second.number]
    await service.withdraw(engine, OFFICER, first.number, first.version, "a letter")
    assert await held(engine, recording_id) == [f"demand:{second.number}"]
    await service.refuse(
        engine, HEAD, second.number, second.version, RefusalGround.NOT_OF_CONSULTANT, "a message"
    )
    assert await held(engine, recording_id) == []


async def test_only_what_was_found_and_is_stored_is_chosen(engine: AsyncEngine) -> None:
    number, recording_id = await talk(engine)
    _, other = await talk(engine)
    row = await demanded(engine, appeal_number=number)
    for chosen in ([], [other], [recording_id, uuid4()]):
        with pytest.raises(InvalidRequest, match="choose recordings"):
            await service.check(engine, OFFICER, row.number, 2, chosen, "this one")
    await service.check(engine, OFFICER, row.number, 2, [recording_id], "this one")
    assert (await matched(engine, row))[0].chosen
    with pytest.raises(IllegalDemandStep):
        await service.search(engine, OFFICER, row.number, 3)
    await service.return_to_check(engine, HEAD, row.number, 3, "listen again")
    assert (await found(engine, row.number)).state == DemandState.FOUND


async def test_what_is_stored_later_is_found_by_the_next_search(engine: AsyncEngine) -> None:
    number, recording_id = await talk(engine, state="closed")
    row = await demanded(engine, appeal_number=number)
    with pytest.raises(InvalidRequest, match="choose recordings"):
        await service.check(engine, OFFICER, row.number, 2, [recording_id], "this one")
    await service.search(engine, OFFICER, row.number, 2)
    assert [each.recording_id for each in await matched(engine, row)] == [recording_id]


async def test_of_two_officers_who_choose_at_once_one_does(engine: AsyncEngine) -> None:
    number, recording_id = await talk(engine)
    row = await demanded(engine, appeal_number=number)
    outcomes = await asyncio.gather(
        *(
            service.check(engine, person(name), row.number, 2, [recording_id], name)
            for name in ("aliya", "bolat")
        ),
        return_exceptions=True,
    )
    assert {type(each) for each in outcomes} == {type(None), StaleDemand}


async def test_who_registered_searched_or_checked_does_not_release(engine: AsyncEngine) -> None:
    number, recording_id = await talk(engine)
    row = await demanded(engine, appeal_number=number)
    await service.check(engine, person("checker"), row.number, 2, [recording_id], "this one")
    for somebody in (OFFICER, person("checker")):
        async with unit_of_work(engine) as connection:
            locked = await service.lock_demand(connection, row.number)
            with pytest.raises(SelfApproval):
                await service.transition(
                    connection, somebody, DemandStep.RELEASED, locked, "all is well"
                )
