"""Softphones die: their legs end, and who is left alone with them is told and goes first.

What becomes of every state of a conversation is in `flow/test_*_deaths.py` and
`flow/test_dead_telephones.py`, what counts as dead in `rules/test_telephone_monitor.py`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from callcenter.platform.identity.permissions import Role
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.calls.outcomes import CallEvent
from tests.asterisk.switch import CONSULTANTS, PASSWORD
from tests.calls.call_center import (
    CALLER_TONE,
    CONSULTANT_TONE,
    CallCenter,
    running_call_center,
)
from tests.calls.people import add_person
from tests.calls.stall_meter import Stalls
from tests.calls.talking import THIRD_PARTY_TONE, hears_tone
from tests.calls.test_supervision import SUPERVISOR_TONE, Talk
from tests.polling import require_within, until
from tests.services import new_database

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT = 15.0  # seconds from a death until the caller is told
LATE = 15.0  # seconds more within which the caller has heard it: others hear it at the same time
DeathOf = Callable[[CallCenter, AsyncExitStack, Phone, str], Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="session")
async def call_center(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[CallCenter]:
    crew = dict.fromkeys((*DEATHS, "209", "206", "210", "212", "213"), ("kk",))
    crew |= dict.fromkeys(("205", "207", "211"), ("ru",))  # no caller of these tests is offered
    with new_database(postgres) as database:
        async with running_call_center(
            short_folder / "dying",
            built_prompts,
            ("line-1",),
            crew,
            database_url=database,
            redis_url=f"{redis_url}?db=12",
            ring_timeout=2.0,
            patience=60.0,
            ask_every=60.0,
            silent_telephone=300,
        ) as call_center:
            yield call_center
            await call_center.assert_no_resources_left()


async def _killed(
    call_center: CallCenter, stack: AsyncExitStack, phone: Phone, extension: str
) -> None:
    await phone.drop()


async def _started_anew(
    call_center: CallCenter, stack: AsyncExitStack, phone: Phone, extension: str
) -> None:
    port = phone.place[1]
    await phone.drop()
    await _registered(call_center, stack, extension, port)


async def _elsewhere(
    call_center: CallCenter, stack: AsyncExitStack, phone: Phone, extension: str
) -> None:
    await phone.drop()
    await _registered(call_center, stack, extension)


async def _unregistered(
    call_center: CallCenter, stack: AsyncExitStack, phone: Phone, extension: str
) -> None:
    await phone.unregister()


async def _registered(
    call_center: CallCenter, stack: AsyncExitStack, extension: str, port: int = 0
) -> None:
    phone = Phone(
        address=CONSULTANTS,
        port=port,
        server=call_center.switch.sip,
        user=extension,
        password=PASSWORD,
    )
    await (await stack.enter_async_context(phone)).register()


DEATHS: dict[str, DeathOf] = {
    "201": _killed,
    "202": _started_anew,
    "203": _elsewhere,
    "204": _unregistered,
}


async def test_dead_telephones_leave_nobody_alone(call_center: CallCenter) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dialling = asyncio.create_task(enter(_calling(call_center)))  # meanwhile
        two_lines = await enter(_two_lines(call_center))  # first: its silence begins
        held = {
            extension: await enter(_held(call_center, extension)) for extension in (*DEATHS, "209")
        }
        listening = await enter(_supervised(call_center, "206", "207", "listen"))
        joined = await enter(_supervised(call_center, "210", "211", "join"))
        calling = await dialling
        stalls, died = await enter(Stalls()), dict[str, float]()
        for extension, die in DEATHS.items():
            died[extension] = time.time()
            await die(call_center, stack, held[extension][0], extension)
        for extension, die, phone, owner in (
            ("205", _started_anew, calling.phone, "205"),
            ("206", _elsewhere, listening.supervisor, "207"),
            ("210", _killed, joined.phone, "210"),
            ("212", _killed, two_lines.phone, "212"),
        ):
            died[extension] = time.time()
            await die(call_center, stack, phone, owner)
        left_alone = {each: held[each][2] for each in DEATHS} | {"205": calling.party}
        for extension, party in left_alone.items():
            await call_center.hears(party, "kk", "consultant_lost", LIMIT + LATE)
            await until(partial(_goes_first, call_center, extension), "the caller goes first")
        ends = dict.fromkeys(left_alone, CallEvent.CONSULTANT_LOST)
        for extension, (event, party, tone) in {
            "206": (CallEvent.SUPERVISION_ENDED, listening.party, CONSULTANT_TONE),
            "210": (CallEvent.TRANSFERRED, joined.party, SUPERVISOR_TONE),
            "212": (CallEvent.TRANSFERRED, two_lines.party, THIRD_PARTY_TONE),
        }.items():
            ends[extension] = event
            await _happens(call_center, extension, event)
            await hears_tone(party, tone)
            assert not call_center.was_heard(party, "kk", "consultant_lost")
        for leg in (listening.leg, joined.supervisor_leg, two_lines.third_party):
            await hears_tone(leg, CALLER_TONE)
        for extension, event in ends.items():
            ended_at = await _time_of(call_center, extension, event)
            require_within(ended_at - died[extension], LIMIT + stalls.total, "the leg ends")
        # Whose telephone is there may be held for as long as it likes, without a packet.
        _, leg, caller = held["209"]
        await leg.resume()
        leg.send_tone(CONSULTANT_TONE)
        await hears_tone(caller, CONSULTANT_TONE)


async def _goes_first(call_center: CallCenter, extension: str) -> bool:
    """Whether the caller waits again, before all others, since this telephone died."""
    appeal = await call_center.live_appeal(_number(extension))
    events = [] if appeal is None else await call_center.events(appeal)
    lost = [event.detail for event in events if event.kind == CallEvent.CONSULTANT_LOST]
    waits = [event.detail for event in events if event.kind == CallEvent.WAITING]
    return lost == [{"consultant": extension}] and waits[-1] == {"why": "lost_before"}


async def _time_of(call_center: CallCenter, extension: str, event: CallEvent) -> float:
    """When this event was recorded in the call with this consultant, in epoch seconds."""
    appeal = await call_center.live_appeal(_number(extension))
    assert appeal is not None
    events = await call_center.events(appeal)
    return next(each.at for each in events if each.kind == event).timestamp()


@dataclass
class _Call:
    """A consultant's telephone and leg in a call, and whoever else is in it."""

    phone: Phone
    leg: SipCall
    party: SipCall  #: who called, or was called


@dataclass
class _SupervisedCall(_Call):
    supervisor: Phone
    supervisor_leg: SipCall


@dataclass
class _CallOfTwoLines(_Call):
    third_party: SipCall


@asynccontextmanager
async def _talking(call_center: CallCenter, extension: str) -> AsyncIterator[_Call]:
    """A consultant and a caller, each sending a tone."""
    async with (
        call_center.softphone(extension) as phone,
        call_center.caller(_number(extension)) as caller,
    ):
        await phone.register()
        await caller.press("11")
        leg = await phone.next_call(30)
        await leg.answer()
        leg.send_tone(CONSULTANT_TONE)
        caller.send_tone(CALLER_TONE)
        await call_center.hears_something(leg)
        yield _Call(phone, leg, caller)


@asynccontextmanager
async def _held(
    call_center: CallCenter, extension: str
) -> AsyncIterator[tuple[Phone, SipCall, SipCall]]:
    """A telephone that holds, as many do without a packet; its leg; the caller it holds."""
    async with _talking(call_center, extension) as call:
        await call.leg.hold()
        call.leg.stop_sending()
        await _happens(call_center, extension, CallEvent.HELD)
        yield call.phone, call.leg, call.party


@asynccontextmanager
async def _supervised(
    call_center: CallCenter, extension: str, supervisor: str, mode: str
) -> AsyncIterator[_SupervisedCall]:
    """A consultant and a caller, and a supervisor in this mode."""
    by = await add_person(call_center, supervisor, Role.HEAD)
    async with (
        call_center.consultant(supervisor) as phone,
        _talking(call_center, extension) as call,
    ):
        talk = Talk(call_center, _number(extension), call.party, call.leg, phone)
        leg = await talk.begin(mode, by=by, extension=supervisor, whose=extension)
        yield _SupervisedCall(call.phone, call.leg, call.party, phone, leg)


@asynccontextmanager
async def _two_lines(call_center: CallCenter) -> AsyncIterator[_CallOfTwoLines]:
    """A telephone that holds a caller and dialled a colleague, to whom it sends no sound now.

    The second line is silent for longer than the first: it is the first to end.
    """
    async with (
        _talking(call_center, "212") as call,
        call_center.consultant("213") as colleague,
    ):
        await call.leg.hold()
        await _happens(call_center, "212", CallEvent.HELD)
        second = await call.phone.call("213")
        third_party = await colleague.next_call()
        await third_party.answer()
        third_party.send_tone(THIRD_PARTY_TONE)
        await second.answered()
        second.send_silence()
        await hears_tone(second, THIRD_PARTY_TONE)
        second.stop_sending()
        yield _CallOfTwoLines(call.phone, call.leg, call.party, third_party)


@asynccontextmanager
async def _calling(call_center: CallCenter) -> AsyncIterator[_Call]:
    """A consultant who called somebody, and holds."""
    number = _number("205")
    async with call_center.consultant("205") as phone, call_center.network(number) as network:
        leg = await phone.call(number)
        called = await network.next_call()
        await called.answer()
        called.send_tone(CALLER_TONE)
        await leg.answered()
        leg.send_tone(CONSULTANT_TONE)
        await _happens(call_center, "205", CallEvent.RECORDING_STARTED)  # after the notice
        await leg.hold()
        leg.stop_sending()
        await _happens(call_center, "205", CallEvent.HELD)
        yield _Call(phone, leg, called)


async def _happens(call_center: CallCenter, extension: str, event: CallEvent) -> None:
    """Wait until this event is recorded in the call with this consultant."""

    async def is_recorded() -> bool:
        appeal = await call_center.live_appeal(_number(extension))
        return appeal is not None and event in await call_center.moments(appeal)

    await until(is_recorded, f"{event} is recorded")


def _number(extension: str) -> str:
    return f"+77020600{extension}"
