"""What our software stands on dies during calls: PostgreSQL, Redis, Asterisk, AMI (item 14).

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callcenter.platform.core.settings import Settings
from callcenter.recordings.sealing import audio, spool
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.sipphone.audio import loudness
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import (
    CALLER_TONE,
    CONSULTANT_TONE,
    CallCenter,
    kinds,
    running_controller,
)
from tests.calls.disposable_stack import (
    a_check_is_due,
    answered_call,
    both_hear,
    connected,
    falls_back,
    has_happened,
    no_check_is_due,
    served,
)
from tests.calls.processes import ControllerProgram, OwnPostgres, OwnRedis
from tests.calls.stall_meter import Stalls
from tests.polling import until
from tests.protocol.relay import Relay
from tests.streams import port_of, stream_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def test_calls_survive_a_postgresql_outage_and_are_written_later(
    call_center: CallCenter, line: ControllerProgram, postgres_server: OwnPostgres
) -> None:
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller("+77020000070") as caller,
    ):
        leg = await connected(call_center, caller, consultant)
        await asyncio.to_thread(postgres_server.stop)
        try:
            unavailable_since = time.time()
            async with call_center.caller("+77020000071") as second:
                await second.press("2")
                await call_center.hears(second, "ru", "emergency_hint")
            await both_hear(caller, leg)
            await leg.hang_up()
            await call_center.hears(caller, "kk", "goodbye")
            await caller.ended()
            async with call_center.caller("+77020000072") as third:
                await call_center.talk_shortly(await answered_call(third, consultant))
                await third.ended()
            # The telephone knows of its end a moment before the controller does.
            await call_center.switch.assert_no_resources_left()
            assert not line_has_ended(line)
            back_at = time.time()
        finally:
            await asyncio.to_thread(postgres_server.start)
        outcomes = {}
        for number in ("+77020000070", "+77020000071", "+77020000072"):
            appeal = await call_center.appeal(number)
            outcomes[number] = appeal.outcome
            assert appeal.ended_at is not None
            assert unavailable_since <= appeal.ended_at.timestamp() <= back_at
            moments = [event.at for event in await call_center.events(appeal)]
            assert moments == sorted(moments)
            assert moments[-1].timestamp() <= back_at
        assert outcomes == {
            "+77020000070": Outcome.TALKED,
            "+77020000071": Outcome.LEFT_IN_MENU,
            "+77020000072": Outcome.TALKED,
        }


def line_has_ended(line: ControllerProgram) -> bool:
    return not Path(f"/proc/{line.pid}").exists()


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_without_redis_talks_continue_and_new_callers_fall_back(
    call_center: CallCenter, line: ControllerProgram, redis_server: OwnRedis, fault: str
) -> None:
    first, second = ("+77020000080", "+77020000081")
    async with call_center.consultant("201") as consultant, call_center.caller(first) as caller:
        leg = await connected(call_center, caller, consultant)
        since = time.monotonic()
        if fault == "frozen":
            redis_server.pause()
        else:
            await redis_server.kill()
        try:
            async with call_center.caller(second) as wants_one:
                await wants_one.press("0")
                await falls_back(call_center, wants_one)
            assert (await call_center.appeal(second)).outcome == Outcome.FALLBACK
            # Longer than a lease lasts: the consultant in this talk must not be offered again.
            await asyncio.sleep(max(0.0, since + 6 - time.monotonic()))
            await both_hear(caller, leg)
        finally:
            if fault == "frozen":
                redis_server.go_on()
            else:
                await redis_server.start()
        await served(call_center, "204", "+77020000082")
        await both_hear(caller, leg)
        assert consultant.calls == [leg]
        await leg.hang_up()
        await caller.ended()
        assert (await call_center.appeal(first)).outcome == Outcome.TALKED
        await until(lambda: nobody_waits(call_center), "nobody waits at the distributor")


async def test_callers_waiting_when_redis_dies_fall_back(
    call_center: CallCenter, line: ControllerProgram, redis_server: OwnRedis
) -> None:
    number = "+77020000085"
    async with call_center.caller(number) as waiting:
        await waiting.press("0")
        await call_center.hears(waiting, "kk", "nobody_speaks_kk", 20)
        await redis_server.kill()
        try:
            await falls_back(call_center, waiting)
        finally:
            await redis_server.start()
        await waiting.hang_up()
    assert (await call_center.appeal(number)).outcome == Outcome.FALLBACK
    await served(call_center, "204", "+77020000086")
    await until(lambda: nobody_waits(call_center), "nobody waits at the distributor")


async def nobody_waits(call_center: CallCenter) -> bool:
    return await call_center.redis.exists("desk:waiting", "desk:calls", "desk:held") == 0


async def test_callers_waiting_when_redis_is_emptied_are_served(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    async with call_center.consultant("204") as busy, call_center.caller("+77020000090") as talking:
        leg = await connected(call_center, talking, busy)
        async with call_center.caller("+77020000091") as waiting:
            await waiting.press("0")
            await call_center.hears(waiting, "kk", "queue_hold")
            await call_center.redis.flushall()
            # Offered the caller at once, so never seen as free.
            async with call_center.softphone("201") as consultant:
                await consultant.register()
                await call_center.talk_shortly(await consultant.next_call(20))
                await waiting.ended()
        await both_hear(talking, leg)
        await talking.hang_up()
    assert (await call_center.appeal("+77020000091")).outcome == Outcome.TALKED


async def test_calls_of_a_killed_asterisk_are_lost_to_a_fault(
    call_center: CallCenter, line: ControllerProgram
) -> None:
    """With the times at which they were cut, though it is away for a while, and what was said."""
    numbers = ["+77020000100", "+77020000101", "+77020000102"]
    await no_check_is_due(call_center)
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller(numbers[0]) as talking,
        call_center.caller(numbers[1]) as waiting,
        call_center.caller(numbers[2]) as choosing,
    ):
        leg = await connected(call_center, talking, consultant)
        await waiting.press("0")
        await call_center.hears(waiting, "kk", "queue_hold")
        await has_happened(call_center, numbers[0], CallEvent.RECORDING_STARTED)
        await until(
            lambda: a_second_is_on_disk(call_center, numbers[0]), "what was said is on disk"
        )
        async with Stalls() as stalls:
            killed_at = time.time()
            await call_center.switch.kill()
            for call in (talking, waiting, choosing, leg):
                call.drop()
            await asyncio.sleep(3)
            await call_center.switch.start()
            appeals = [await call_center.appeal(number) for number in numbers]
    assert {appeal.outcome for appeal in appeals} == {Outcome.LOST_TO_A_FAULT}
    for appeal in appeals:
        assert appeal.ended_at is not None
        # The last that was heard of it may be an echo, which takes its milliseconds.
        assert abs(appeal.ended_at.timestamp() - killed_at) < 1.1 + stalls.longest
        events = [event.at for event in await call_center.events(appeal)]
        assert events == sorted(events)
    (recording,) = await call_center.recordings(appeals[0])
    assert recording.state == "closed"
    left, right = call_center.recorded(recording)
    assert loudness(left[-4000:], CALLER_TONE) > -30
    assert loudness(right[-4000:], CONSULTANT_TONE) > -30
    await a_check_is_due(call_center)
    await served(call_center, "204", "+77020000103")


async def a_second_is_on_disk(call_center: CallCenter, number: str) -> bool:
    """Asterisk writes 32 KB at once."""
    appeal = await call_center.live_appeal(number)
    assert appeal is not None
    (recording,) = await call_center.recordings(appeal)
    return (call_center.settings.spool / recording.spool_name).stat().st_size > 0


@asynccontextmanager
async def cut_ami(
    call_center: CallCenter,
) -> AsyncIterator[tuple[Relay, Callable[[], None], Settings]]:
    """A relay to AMI, what cuts it for good, and the settings of a controller that uses it."""
    relay = Relay(call_center.settings.ami_port)
    async with stream_server(relay.carry) as server:

        def cut() -> None:
            server.close()
            relay.cut()

        yield relay, cut, call_center.settings.model_copy(update={"ami_port": port_of(server)})


@pytest.mark.parametrize("when", ["before", "during"])
async def test_without_ami_talks_continue_and_nobody_goes_to_1414(
    call_center: CallCenter, when: str
) -> None:
    number = "+77020000110" if when == "before" else "+77020000111"
    async with (
        cut_ami(call_center) as (_, cut, settings),
        running_controller(settings, "line-1"),
        call_center.unified_center() as center,
        call_center.caller(number) as caller,
    ):
        async with call_center.softphone("201") as consultant:
            await consultant.register()
            leg = await answered_call(caller, consultant)
            if when == "before":
                cut()
            await leg.answer()
            if when == "during":
                await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
                cut()
            else:
                await call_center.hears(leg, "kk", "not_recorded")
                assert "not_recorded" in str(await call_center.redis.lindex("desk:alarms", 0))
            await both_hear(caller, leg)
            await leg.press("*14")
            await call_center.hears(leg, "kk", "not_now", 20)
            await both_hear(caller, leg)
            if when == "during":
                await leg.press("*5")  # a caller who is aside is not let go with the consultant
                await leg.hang_up()
                await is_not_stored_yet(call_center, number)
            await caller.hang_up()
        if when == "during":
            await is_stored_whole(call_center, number)
        appeal = await call_center.appeal(number)
        seen = await call_center.moments(appeal)
        assert CallEvent.RECORDING_FAILED in seen
        assert CallEvent.REDIRECT_RINGING not in seen
        assert center.calls == []


async def test_an_unrecorded_talk_is_recorded_once_ami_returns(
    call_center: CallCenter,
) -> None:
    number = "+77020000112"
    async with (
        cut_ami(call_center) as (relay, cut, settings),
        running_controller(settings, "line-1"),
        call_center.caller(number) as caller,
        call_center.softphone("201") as consultant,
    ):
        await consultant.register()
        leg = await answered_call(caller, consultant)
        cut()
        await leg.answer()
        await call_center.hears(leg, "kk", "not_recorded")
        async with stream_server(relay.carry, settings.ami_port):
            await call_center.hears(leg, "kk", "recorded_again", 20)
            assert "recorded_again" in str(await call_center.redis.lindex("desk:alarms", 0))
            await both_hear(caller, leg)
            await leg.hang_up()
            await caller.ended()
            appeal = await call_center.appeal(number)
            recording = [
                each for each in await call_center.moments(appeal) if each.startswith("recording")
            ]
    assert recording == kinds(
        CallEvent.RECORDING_FAILED, CallEvent.RECORDING_STARTED, CallEvent.RECORDING_STOPPED
    )
    await is_stored_whole(call_center, number)


async def is_not_stored_yet(call_center: CallCenter, number: str) -> None:
    """It ended as far as the register knows, but nobody could tell Asterisk, which writes on."""

    async def is_closed() -> bool:
        appeal = await call_center.live_appeal(number)
        assert appeal is not None
        return [each.state for each in await call_center.recordings(appeal)] == ["closed"]

    await until(is_closed, "the recording is noted as ended", 10)
    await SealingWorker(call_center.settings, call_center.engine).seal_closed()
    assert await is_closed()


async def is_stored_whole(call_center: CallCenter, number: str) -> None:
    appeal = await call_center.appeal(number)
    (recording,) = await call_center.recordings(appeal)
    raw = call_center.settings.spool / recording.spool_name

    async def is_closed() -> bool:
        return spool.is_closed(raw)

    await until(is_closed, "Asterisk has closed the file", 10)
    length = raw.stat().st_size * 1000 // audio.FRAME_BYTES // audio.RATE
    sealing = SealingWorker(call_center.settings, call_center.engine)
    while await sealing.seal_closed():  # a batch of those of other tests may come first
        pass
    (recording,) = await call_center.recordings(appeal)
    assert (recording.state, recording.duration_ms) == ("stored", length)
