"""What our software stands on dies during calls: PostgreSQL, Redis, Asterisk, AMI (item 14).

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import time
from pathlib import Path

import pytest

from callcenter.demo.sound import loudness
from callcenter.line.outcomes import Moment, Outcome
from callcenter.recordings import audio, spool
from callcenter.recordings.keeping import Keeper
from tests.calls.fragile import (
    a_check_is_due,
    answered_call,
    both_hear,
    connected,
    falls_back,
    has_happened,
    no_check_is_due,
    served,
)
from tests.calls.house import (
    CALLER_TONE,
    CONSULTANT_TONE,
    House,
    kinds,
    running_controller,
    until,
)
from tests.calls.parts import Line, OwnPostgres, OwnRedis
from tests.calls.stalls import Stalls
from tests.protocol.relay import Relay

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def test_while_postgresql_is_away_calls_go_on_and_are_written_with_their_times_later(
    house: House, line: Line, postgres_server: OwnPostgres
) -> None:
    async with house.consultant("201") as consultant, house.caller("+77020000070") as caller:
        leg = await connected(house, caller, consultant)
        await asyncio.to_thread(postgres_server.stop)
        try:
            away_since = time.time()
            async with house.caller("+77020000071") as second:
                await second.press("2")
                await house.hears(second, "ru", "emergency_hint")
            await both_hear(caller, leg)
            await leg.hang_up()
            await house.hears(caller, "kk", "goodbye")
            await caller.ended()
            async with house.caller("+77020000072") as third:
                await house.talk_shortly(await answered_call(third, consultant))
                await third.ended()
            # The telephone knows of its end a moment before the controller does.
            await house.switch.nothing_left()
            assert not line_has_ended(line)
            back_at = time.time()
        finally:
            await asyncio.to_thread(postgres_server.start)
        outcomes = {}
        for number in ("+77020000070", "+77020000071", "+77020000072"):
            appeal = await house.appeal(number)
            outcomes[number] = appeal.outcome
            assert appeal.ended_at is not None
            assert away_since <= appeal.ended_at.timestamp() <= back_at
            moments = [event.at for event in await house.events(appeal)]
            assert moments == sorted(moments)
            assert moments[-1].timestamp() <= back_at
        assert outcomes == {
            "+77020000070": Outcome.TALKED,
            "+77020000071": Outcome.LEFT_IN_MENU,
            "+77020000072": Outcome.TALKED,
        }


def line_has_ended(line: Line) -> bool:
    return not Path(f"/proc/{line.pid}").exists()


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_without_redis_conversations_go_on_and_who_wants_a_consultant_falls_back(
    house: House, line: Line, redis_server: OwnRedis, fault: str
) -> None:
    first, second = ("+77020000080", "+77020000081")
    async with house.consultant("201") as consultant, house.caller(first) as caller:
        leg = await connected(house, caller, consultant)
        if fault == "frozen":
            redis_server.pause()
        else:
            await redis_server.kill()
        try:
            async with house.caller(second) as wants_one:
                await wants_one.press("0")
                await falls_back(house, wants_one)
            assert (await house.appeal(second)).outcome == Outcome.FALLBACK
            # Longer than a lease lasts: the consultant in this talk must not be offered again.
            await asyncio.sleep(5)
            await both_hear(caller, leg)
        finally:
            if fault == "frozen":
                redis_server.go_on()
            else:
                await redis_server.start()
        await served(house, "204", "+77020000082")
        await both_hear(caller, leg)
        assert consultant.calls == [leg]
        await leg.hang_up()
        await caller.ended()
        assert (await house.appeal(first)).outcome == Outcome.TALKED
        await until(lambda: nobody_waits(house), "nobody waits at the desk")


async def test_who_waits_when_redis_is_killed_falls_back_and_the_next_is_served(
    house: House, line: Line, redis_server: OwnRedis
) -> None:
    number = "+77020000085"
    async with house.caller(number) as waiting:
        await waiting.press("0")
        await house.hears(waiting, "kk", "nobody_speaks_kk", 20)
        await redis_server.kill()
        try:
            await falls_back(house, waiting)
        finally:
            await redis_server.start()
        await waiting.hang_up()
    assert (await house.appeal(number)).outcome == Outcome.FALLBACK
    await served(house, "204", "+77020000086")
    await until(lambda: nobody_waits(house), "nobody waits at the desk")


async def nobody_waits(house: House) -> bool:
    return await house.redis.exists("desk:waiting", "desk:calls", "desk:held") == 0


async def test_when_redis_is_emptied_who_waits_is_served_all_the_same(
    house: House, line: Line
) -> None:
    async with house.consultant("204") as busy, house.caller("+77020000090") as talking:
        leg = await connected(house, talking, busy)
        async with house.caller("+77020000091") as waiting:
            await waiting.press("0")
            await house.hears(waiting, "kk", "queue_hold")
            await house.redis.flushall()
            # Offered the caller at once, so never seen as free.
            async with house.softphone("201") as consultant:
                await consultant.register()
                await house.talk_shortly(await consultant.next_call(20))
                await waiting.ended()
        await both_hear(talking, leg)
        await talking.hang_up()
    assert (await house.appeal("+77020000091")).outcome == Outcome.TALKED


async def test_when_asterisk_is_killed_its_calls_are_lost_to_a_fault_and_the_next_is_served(
    house: House, line: Line
) -> None:
    """With the times at which they were cut, though it is away for a while, and what was said."""
    numbers = ["+77020000100", "+77020000101", "+77020000102"]
    await no_check_is_due(house)
    async with (
        house.consultant("201") as consultant,
        house.caller(numbers[0]) as talking,
        house.caller(numbers[1]) as waiting,
        house.caller(numbers[2]) as choosing,
    ):
        leg = await connected(house, talking, consultant)
        await waiting.press("0")
        await house.hears(waiting, "kk", "queue_hold")
        await has_happened(house, numbers[0], Moment.RECORDING_STARTED)
        await until(lambda: a_second_is_on_disk(house, numbers[0]), "what was said is on disk")
        async with Stalls() as stalls:
            killed_at = time.time()
            await house.switch.kill()
            for call in (talking, waiting, choosing, leg):
                call.drop()
            await asyncio.sleep(3)
            await house.switch.start()
            appeals = [await house.appeal(number) for number in numbers]
    assert {appeal.outcome for appeal in appeals} == {Outcome.LOST_TO_A_FAULT}
    for appeal in appeals:
        assert appeal.ended_at is not None
        assert abs(appeal.ended_at.timestamp() - killed_at) < 1.0 + stalls.longest
        events = [event.at for event in await house.events(appeal)]
        assert events == sorted(events)
    (recording,) = await house.recordings(appeals[0])
    assert recording.state == "closed"
    left, right = house.recorded(recording)
    assert loudness(left[-4000:], CALLER_TONE) > -30
    assert loudness(right[-4000:], CONSULTANT_TONE) > -30
    await a_check_is_due(house)
    await served(house, "204", "+77020000103")


async def a_second_is_on_disk(house: House, number: str) -> bool:
    """Asterisk writes 32 KB at once."""
    appeal = await house.live_appeal(number)
    assert appeal is not None
    (recording,) = await house.recordings(appeal)
    return (house.settings.spool / recording.spool_name).stat().st_size > 0


@pytest.mark.parametrize("when", ["before", "during"])
async def test_without_ami_the_conversation_goes_on_and_nobody_is_sent_to_1414(
    house: House, when: str
) -> None:
    relay = Relay(house.settings.ami_port)
    server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = house.settings.model_copy(update={"ami_port": port})
    number = "+77020000110" if when == "before" else "+77020000111"

    def cut() -> None:
        server.close()
        relay.cut()

    async with (
        server,
        running_controller(settings, "line-1", house.engine, house.redis),
        house.unified_center() as center,
        house.caller(number) as caller,
    ):
        async with house.softphone("201") as consultant:
            await consultant.register()
            leg = await answered_call(caller, consultant)
            if when == "before":
                cut()
            await leg.answer()
            if when == "during":
                await has_happened(house, number, Moment.RECORDING_STARTED)
                cut()
            else:
                await house.hears(leg, "kk", "not_recorded")
                assert "not_recorded" in str(await house.redis.lindex("desk:alarms", 0))
            await both_hear(caller, leg)
            await leg.press("*14")
            await house.hears(leg, "kk", "not_now", 20)
            await both_hear(caller, leg)
            if when == "during":
                await leg.press("*5")  # a caller who is aside is not let go with the consultant
                await leg.hang_up()
                await is_not_kept_yet(house, number)
            await caller.hang_up()
        if when == "during":
            await is_kept_whole(house, number)
        appeal = await house.appeal(number)
        seen = await house.moments(appeal)
        assert Moment.RECORDING_FAILED in seen
        assert Moment.REDIRECT_RINGING not in seen
        assert center.calls == []


async def test_when_ami_is_back_a_conversation_that_was_not_recorded_is_from_then_on(
    house: House,
) -> None:
    relay = Relay(house.settings.ami_port)
    server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = house.settings.model_copy(update={"ami_port": port})
    number = "+77020000112"
    async with (
        server,
        running_controller(settings, "line-1", house.engine, house.redis),
        house.caller(number) as caller,
        house.softphone("201") as consultant,
    ):
        await consultant.register()
        leg = await answered_call(caller, consultant)
        server.close()
        relay.cut()
        await leg.answer()
        await house.hears(leg, "kk", "not_recorded")
        async with await asyncio.start_server(relay.carry, "127.0.0.1", port):
            await house.hears(leg, "kk", "recorded_again", 20)
            assert "recorded_again" in str(await house.redis.lindex("desk:alarms", 0))
            await both_hear(caller, leg)
            await leg.hang_up()
            await caller.ended()
            appeal = await house.appeal(number)
            recording = [
                each for each in await house.moments(appeal) if each.startswith("recording")
            ]
    assert recording == kinds(
        Moment.RECORDING_FAILED, Moment.RECORDING_STARTED, Moment.RECORDING_STOPPED
    )
    await is_kept_whole(house, number)


async def is_not_kept_yet(house: House, number: str) -> None:
    """It ended as far as the register knows, but nobody could tell Asterisk, which writes on."""

    async def is_closed() -> bool:
        appeal = await house.live_appeal(number)
        assert appeal is not None
        return [each.state for each in await house.recordings(appeal)] == ["closed"]

    await until(is_closed, "the recording is noted as ended", 10)
    await Keeper(house.settings, house.engine).keep_closed()
    assert await is_closed()


async def is_kept_whole(house: House, number: str) -> None:
    appeal = await house.appeal(number)
    (recording,) = await house.recordings(appeal)
    raw = house.settings.spool / recording.spool_name

    async def is_closed() -> bool:
        return spool.is_closed(raw)

    await until(is_closed, "Asterisk has closed the file", 10)
    length = raw.stat().st_size * 1000 // audio.FRAME_BYTES // audio.RATE
    await Keeper(house.settings, house.engine).keep_closed()
    (recording,) = await house.recordings(appeal)
    assert (recording.state, recording.duration_ms) == ("stored", length)
