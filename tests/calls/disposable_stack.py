"""A call center of which every part can be stopped, and what a test looks at then."""

import asyncio
import math
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from callcenter.bootstrap.controller import ControllerProcess
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.sipphone.audio import RATE, loudness
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import (
    CALLER_TONE,
    CLAIM_TIMEOUT,
    CONSULTANT_TONE,
    CallCenter,
    running_call_center,
)
from tests.calls.processes import (
    ControllerProgram,
    OwnPostgres,
    OwnRedis,
    running_controller_program,
)
from tests.calls.stall_meter import Stalls
from tests.calls.talking import order
from tests.polling import NotInTime, require_within, until
from tests.services import MOMENT, cut_short

PACKET = 0.02  # seconds of sound
#: Prompts that tests of this call center listen for, or in which their callers stay; of all others
#: a caller hears a moment.
LISTENED_FOR = {
    *("greeting", "greeting_short", "lang_choice", "urgent_keys", "danger_stars"),
    *("emergency_hint", "menu_main", "recording_notice", "sorry_going_on"),
    *("nobody_speaks_kk", "queue_hold"),
    *("callback_offer", "callback_number", "callback_safe", "callback_ok", "callback_neutral"),
    *("message_begin", "message_speak", "message_ok", "not_kept", "called_notice"),
    *("not_recorded", "recorded_again", "not_now", "duty_refused"),
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_server(short_folder: Path) -> AsyncIterator[OwnRedis]:
    server = OwnRedis(short_folder)
    await server.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(short_folder: Path) -> AsyncIterator[OwnPostgres]:
    server = OwnPostgres(short_folder / "own-pg")
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.end)


@pytest.fixture(scope="session")
def brief_prompts(short_folder: Path, built_prompts: Path) -> Path:
    """Prompts of which most are over in a moment: a caller is where a test wants them at once."""
    made = shutil.copytree(built_prompts, short_folder / "brief")
    cut_short(made, MOMENT, but=LISTENED_FOR)
    return made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def disposable_stack(
    short_folder: Path, redis_server: OwnRedis, postgres_server: OwnPostgres, brief_prompts: Path
) -> AsyncIterator[CallCenter]:
    async with running_call_center(
        short_folder / "disposable",
        brief_prompts,
        controllers=(),
        claim_timeout=CLAIM_TIMEOUT,
        database_url=postgres_server.url,
        redis_url=redis_server.url,
        key_timeout=3.0,
        ring_timeout=15.0,
        wrap_up=0,
        patience=120.0,
        unified_ring_timeout=5.0,
        called_ring_timeout=3.0,
        callback_pauses=(1.0,),
    ) as call_center:
        yield call_center


@pytest_asyncio.fixture(loop_scope="session")
async def disposable(disposable_stack: CallCenter) -> AsyncIterator[CallCenter]:
    """A call center without a controller; each test brings its own. Nothing may be left."""
    await disposable_stack.end_pauses()
    async with Stalls() as disposable_stack.stalls:
        yield disposable_stack
    await disposable_stack.switch.assert_no_resources_left()
    assert await unfinished(disposable_stack) == []


@pytest_asyncio.fixture(loop_scope="session")
async def line(disposable: CallCenter) -> AsyncIterator[ControllerProgram]:
    """The controller line-1 of the disposable stack, as a process."""
    async with running_controller_program(disposable.settings, "line-1") as running:
        yield running


async def unfinished(call_center: CallCenter) -> list[str]:
    """Recordings of which the register still says that they are being made."""
    query = "SELECT spool_name FROM recording WHERE state = 'recording'"
    async with call_center.engine.connect() as connection:
        return list((await connection.exec_driver_sql(query)).scalars())


async def connected(call_center: CallCenter, caller: SipCall, consultant: Phone) -> SipCall:
    """The consultant's leg of a conversation in which both hear each other."""
    await caller.press("11")
    leg = await consultant.next_call(20)
    await leg.answer()
    await both_hear(caller, leg)
    return leg


async def both_hear(caller: SipCall, leg: SipCall) -> None:
    """Wait until each hears the tone that the other begins to send now, and nothing was lost."""
    caller.send_tone(CALLER_TONE)
    leg.send_tone(CONSULTANT_TONE)
    await asyncio.gather(hears_tone(caller, CONSULTANT_TONE), hears_tone(leg, CALLER_TONE))


async def hears_tone(call: SipCall, hertz: float) -> None:
    since = time.monotonic()

    async def heard() -> bool:
        sound = call.heard.pcm(since)
        return len(sound) > 1600 and loudness(sound[-1600:], hertz) > -30

    try:
        await until(heard, f"a tone of {hertz:g} Hz is heard")
    except NotInTime as exc:
        packets = [each.arrived_at - since for each in call.heard.packets]
        came = f"{len(packets)} packets, the last {packets[-1]:.1f} s after" if packets else "none"
        level = loudness(call.heard.pcm(since)[-1600:], hertz)
        raise NotInTime(f"{exc}; {came}; {level:.0f} dB; {call.moments}") from None


def lost_packets(call: SipCall, since: float, until: float = math.inf) -> int:
    """How many packets of the switch's stream are missing, or belong to another stream."""
    packets = [each for each in call.heard.packets if since <= each.arrived_at < until]
    return sum(
        (after.sequence - before.sequence) % 65536 != 1 or after.ssrc != before.ssrc
        for before, after in pairwise(packets)
    )


def longest_gap(call: SipCall, since: float, until: float = math.inf) -> float:
    """Seconds between two packets of the switch's stream, at most."""
    times = [each.arrived_at for each in call.heard.packets if since <= each.arrived_at < until]
    return max(after - before for before, after in pairwise(times))


def unbroken(
    caller: SipCall, leg: SipCall, since: float, until: float = math.inf, *, stalled: float = 0.0
) -> None:
    """Neither lost a packet, nor heard nothing for a tenth of a second.

    `stalled` are seconds for which this process, telephones and all, stood still itself.
    """
    for each in (caller, leg):
        assert lost_packets(each, since, until) == 0
        gap = longest_gap(each, since, until)
        require_within(gap, 0.1 + stalled, "without a packet")


async def held(call_center: CallCenter, number: str, extension: str) -> float:
    """Wait until somebody has the call again and puts its caller on hold; when it was asked."""
    at = [0.0]

    async def is_held() -> bool:
        at[0] = time.monotonic()
        with suppress(InvalidRequest, OperationFailed):  # nobody has it yet
            await order(call_center, extension, "hold")
            return True
        return False

    await until(is_held, f"somebody does what {extension} asks", 30)
    await has_happened(call_center, number, CallEvent.HELD)
    return at[0]


def lost_sound(call: SipCall, since: float) -> float:
    """Seconds of the other side's sound that are missing at one place, at most.

    By the stamps of whoever sends: however late a telephone of a test is, that is no gap of ours.
    """
    packets = [packet for packet in call.heard.packets if packet.arrived_at >= since]
    steps = [(after.timestamp - before.timestamp) % 2**32 for before, after in pairwise(packets)]
    return max(steps) / RATE - PACKET


async def falls_back(call_center: CallCenter, caller: SipCall) -> None:
    """The dialplan's own fallback greets whole in Russian too; our greeting never does."""
    await call_center.hears(caller, "ru", "greeting", 20)


def waited(call: SipCall) -> float:
    """Seconds from the call to the first sound: the dialplan's answer (decision 56) has none."""
    return call.moments["first_rtp"] - call.moments["invite_sent"]


async def no_check_is_due(call_center: CallCenter) -> None:
    """Forget that register and switch are to be compared."""
    async with call_center.engine.begin() as connection:
        await connection.exec_driver_sql(
            "DELETE FROM procrastinate_jobs WHERE task_name = 'ledger.check_calls'"
        )


async def a_check_is_due(call_center: CallCenter) -> None:
    """Wait until they are to be compared, since something was recovered."""

    async def is_due() -> bool:
        query = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'ledger.check_calls'"
        async with call_center.engine.connect() as connection:
            return bool((await connection.exec_driver_sql(query)).scalar())

    await until(is_due, "register and switch are to be compared")


async def answered_call(caller: SipCall, consultant: Phone) -> SipCall:
    await caller.press("0")
    return await consultant.next_call(20)


async def has_happened(call_center: CallCenter, number: str, moment: CallEvent) -> None:
    async def noted() -> bool:
        appeal = await call_center.live_appeal(number)
        return appeal is not None and moment in await call_center.moments(appeal)

    await until(noted, f"{moment} of {number} is in the database")


async def sees(controller: ControllerProcess, name: str) -> bool:
    """Whether it hears a controller of this name, which takes over from others."""
    return any(instance.startswith(name) for instance in controller.node.membership.serving)


async def has_calls(controller: ControllerProcess, count: int = 1) -> bool:
    return len(controller.calls) == count


async def recorded_whole(call_center: CallCenter, number: str) -> None:
    """The one recording of this caller is closed, and as long as the conversation."""
    (recording,) = await call_center.recordings(await call_center.appeal(number))
    assert recording.state == "closed"
    assert recording.ended_at is not None
    left, _ = call_center.recorded(recording)
    talked = (recording.ended_at - recording.started_at).total_seconds()
    assert abs(len(left) / RATE - talked) < 0.5 + call_center.stalls.unrecorded


async def ends_as_one_call(
    call_center: CallCenter, caller: SipCall, leg: SipCall, number: str
) -> None:
    """A caller on hold whose call went to another controller comes back, and talks to the end."""
    await order(call_center, "201", "resume")
    await both_hear(caller, leg)
    await leg.hang_up()
    await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    moments = await call_center.moments(appeal)
    for once in (CallEvent.HELD, CallEvent.RESUMED, CallEvent.RECORDING_STOPPED, CallEvent.ENDED):
        assert moments.count(once) == 1


async def all_is_stored(call_center: CallCenter, numbers: Iterable[str]) -> None:
    """Each caller talked once, and was recorded once, from beginning to end."""
    for number in numbers:
        appeal = await call_center.appeal(number)
        assert appeal.outcome == Outcome.TALKED
        moments = await call_center.moments(appeal)
        for once in (CallEvent.RECEIVED, CallEvent.RECORDING_STARTED, CallEvent.RECORDING_STOPPED):
            assert moments.count(once) == 1, await call_center.story(number)
        assert moments.count(CallEvent.ENDED) == 1
        await recorded_whole(call_center, number)


async def served(call_center: CallCenter, extension: str, number: str) -> None:
    """An ordinary call from beginning to end."""
    async with (
        call_center.consultant(extension) as consultant,
        call_center.caller(number) as caller,
    ):
        await call_center.talk_shortly(await answered_call(caller, consultant))
        await caller.ended()
    assert (await call_center.appeal(number)).outcome == Outcome.TALKED
