"""How an appeal stands, for whoever has its receipt (R13): stage and dates, read at that moment."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record import manual_intake
from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.status.lookup import SPOKEN_STATES
from callcenter.intake import queue
from callcenter.intake.drivers.portal.collector import collect
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.portal import store
from callcenter.portal.pages import STAGES
from callcenter.portal.rules import read_receipt
from callcenter.portal.sealing import ReceiptKey
from tests.intake.messages import TEXT, rows
from tests.portal.conftest import Visitor
from tests.web.conftest import add_user

#: Has every appeal stand so, with days that are in no other place.
TO_STAGE = "UPDATE record SET stage = '{}', registered_on = '2020-11-30', due_on = '2020-12-21'"
READ = "UPDATE written_contact SET read_at = now(), holder = 'dana'"
WORKED_ON = "Консультанты им занимаются."


@pytest.mark.parametrize("stage", sorted({*AppealState} - {AppealState.JOINED}))
async def test_the_receipt_shows_the_stage_that_callers_hear(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, stage: AppealState
) -> None:
    receipt = await visitor.write(TEXT)
    assert "ещё идёт в центр" in (await visitor.open(*receipt)).text
    await collect(worker)
    await rows(engine, f"{READ} RETURNING 1")
    await rows(engine, f"{TO_STAGE.format(stage)} RETURNING 1")
    shown = (await visitor.open(*receipt)).text
    spoken = SPOKEN_STATES.get(stage)
    words = {
        "registered": "Оно зарегистрировано.",
        "in_work": WORKED_ON,
        "forwarded": "Теперь оно у государственного органа, ответит он.",
        "answered": "Ответ есть: чтобы его узнать, позвоните на 111.",
        "closed": "Оно закрыто.",
    }
    assert set(words) == set(STAGES) == set(SPOKEN_STATES.values())
    assert [each for each in words.values() if each in shown] == ([words[spoken]] if spoken else [])
    number, secret = read_receipt(*receipt)
    [copy], _ = await store.read_copies(engine, number, ReceiptKey.derive(number, secret))
    assert copy.is_taken
    assert copy.stage == spoken  # the function says no other either
    assert ("21.12.2020" in shown) == (spoken in ("registered", "in_work", "forwarded"))


async def test_nothing_is_said_of_another_appeal(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine
) -> None:
    number, words = await visitor.write(TEXT)
    await collect(worker)
    await rows(engine, f"{TO_STAGE.format('closed')} RETURNING 1")
    guessed = (
        "SELECT count(*) FROM portal_message,"
        " portal_read_newest_copies(year, sequence, 'guessed', NULL)"
    )
    assert await rows(engine, guessed) == [(0,)]
    other = await visitor.write("Другое")
    await collect(worker)
    assert "Оно закрыто." in (await visitor.open(number, words)).text
    for receipt in (other, (number, other[1])):
        shown = (await visitor.open(*receipt)).text
        assert "Оно закрыто." not in shown
        assert "30.11.2020" not in shown


async def test_nobody_works_on_what_nobody_has_read(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, web_engine: AsyncEngine
) -> None:
    """A contact on the telephone was a conversation; one in writing waits in the queue."""
    receipt = await visitor.write(TEXT)
    await collect(worker)
    shown = (await visitor.open(*receipt)).text
    assert "Центр это получил." in shown
    assert WORKED_ON not in shown
    head = Actor(await add_user(engine, "head", Role.HEAD))
    await queue.take(web_engine, RecordKeys.read(worker.settings), head, receipt[0])
    assert WORKED_ON in (await visitor.open(*receipt)).text


async def test_a_joined_receipt_shows_the_stage_it_goes_on_in(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, web_engine: AsyncEngine
) -> None:
    first, second = await visitor.write(TEXT), await visitor.write("Другое")
    await collect(worker)
    record_keys = RecordKeys.read(worker.settings)
    head = Actor(await add_user(engine, "head", Role.HEAD))
    await manual_intake.merge(web_engine, record_keys, head, first[0], 1, second[0], "одно")
    in_the_other = "WHERE stage <> 'joined' RETURNING 1"
    await rows(engine, f"{TO_STAGE.format('answered')} {in_the_other}")
    for receipt in (first, second):
        assert "Ответ есть" in (await visitor.open(*receipt)).text
