"""A softphone dies while it holds: its leg ends, and the caller is told and goes first.

What becomes of every state of a conversation is in `flow/test_dead_telephones.py`, what counts as
dead in `rules/test_telephone_monitor.py`.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.calls.outcomes import CallEvent
from tests.asterisk.switch import CONSULTANTS, PASSWORD
from tests.calls.call_center import CONSULTANT_TONE, CallCenter, running_call_center
from tests.calls.stall_meter import Stalls
from tests.calls.talking import hears_tone
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
    crew = dict.fromkeys((*DEATHS, "209"), ("kk",))
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


async def test_who_waits_at_a_dead_telephone_hears_in_time(call_center: CallCenter) -> None:
    async with AsyncExitStack() as stack:
        held = {
            extension: await stack.enter_async_context(_held(call_center, stack, extension))
            for extension in (*DEATHS, "209")
        }
        stalls, died = await stack.enter_async_context(Stalls()), dict[str, float]()
        for extension, die in DEATHS.items():
            died[extension] = time.time()
            await die(call_center, stack, held[extension][0], extension)
        for extension in DEATHS:
            await call_center.hears(held[extension][2], "kk", "consultant_lost", LIMIT + LATE)
            await until(partial(_goes_first, call_center, extension), "the caller goes first")
            lost_at = await _lost_at(call_center, extension)
            require_within(lost_at - died[extension], LIMIT + stalls.total, "the leg ends")
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


async def _lost_at(call_center: CallCenter, extension: str) -> float:
    """When the leg of this telephone had ended, in epoch seconds: its caller is told then."""
    appeal = await call_center.live_appeal(_number(extension))
    assert appeal is not None
    events = await call_center.events(appeal)
    [lost] = [event.at for event in events if event.kind == CallEvent.CONSULTANT_LOST]
    return lost.timestamp()


@asynccontextmanager
async def _held(
    call_center: CallCenter, stack: AsyncExitStack, extension: str
) -> AsyncIterator[tuple[Phone, SipCall, SipCall]]:
    """A telephone that holds, as many do without a packet; its leg; the caller it holds."""
    async with (
        call_center.softphone(extension) as phone,
        call_center.caller(_number(extension)) as caller,
    ):
        await phone.register()
        await caller.press("0")
        leg = await phone.next_call(30)
        await leg.answer()
        await call_center.hears_something(leg)
        await leg.hold()
        leg.stop_sending()

        async def is_held() -> bool:
            appeal = await call_center.live_appeal(_number(extension))
            return appeal is not None and CallEvent.HELD in await call_center.moments(appeal)

        await until(is_held, "the caller is on hold")
        yield phone, leg, caller


def _number(extension: str) -> str:
    return f"+77020600{extension}"
