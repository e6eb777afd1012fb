"""A part dies during calls: what callers, consultants and the register notice (item 14).

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from callcenter import recovery
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.demo.sound import loudness
from callcenter.line.outcomes import Moment, Outcome
from callcenter.settings import Settings
from tests.asterisk.switch import with_free_ports
from tests.calls.house import (
    CALLER_TONE,
    CONSULTANT_TONE,
    House,
    link_prompts,
    open_house,
    running_controller,
    until,
)
from tests.calls.parts import Line, OwnPostgres, OwnRedis, running_line
from tests.protocol.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def redis_server(short_folder: Path) -> AsyncIterator[OwnRedis]:
    server = OwnRedis(short_folder)
    await server.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def postgres_server(short_folder: Path) -> AsyncIterator[OwnPostgres]:
    server = OwnPostgres(short_folder / "own-pg")
    await asyncio.to_thread(server.start_first, Settings(_env_file=None, var=short_folder))
    yield server
    await asyncio.to_thread(server.end)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fragile_house(
    short_folder: Path, redis_server: OwnRedis, postgres_server: OwnPostgres, built_prompts: Path
) -> AsyncIterator[House]:
    base = Settings(
        _env_file=None,
        var=short_folder / "fragile",
        recordings=short_folder / "fragile" / "recordings",
        database_url=SecretStr(postgres_server.url),
        redis_url=SecretStr(redis_server.url),
        key_timeout=3.0,
        ring_timeout=15.0,
        wrap_up=0,
        patience=60.0,
        unified_ring_timeout=3.0,
    )
    settings = with_free_ports(base)
    link_prompts(settings, built_prompts)
    async with open_house(settings, controllers=()) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def house(fragile_house: House) -> AsyncIterator[House]:
    """A house without a controller; each test brings its own. Nothing may be left."""
    yield fragile_house
    await fragile_house.switch.nothing_left()
    assert await unfinished(fragile_house) == []


@pytest_asyncio.fixture(loop_scope="session")
async def line(house: House) -> AsyncIterator[Line]:
    async with running_line(house.settings, "line-1") as running:
        yield running


async def unfinished(house: House) -> list[str]:
    """Recordings of which the register still says that they are being made."""
    query = "SELECT spool_name FROM recording WHERE state = 'recording'"
    async with house.engine.connect() as connection:
        return list((await connection.exec_driver_sql(query)).scalars())


async def connected(house: House, caller: Call, consultant: Phone) -> Call:
    """The consultant's leg of a conversation in which both hear each other."""
    await caller.press("0")
    leg = await consultant.next_call(20)
    await leg.answer()
    await both_hear(caller, leg)
    return leg


async def both_hear(caller: Call, leg: Call) -> None:
    """Wait until each hears the tone that the other begins to send now, and nothing was lost."""
    caller.send_tone(CALLER_TONE)
    leg.send_tone(CONSULTANT_TONE)
    await asyncio.gather(hears_tone(caller, CONSULTANT_TONE), hears_tone(leg, CALLER_TONE))


async def hears_tone(call: Call, hertz: float) -> None:
    since = time.monotonic()

    async def heard() -> bool:
        sound = call.heard.pcm(since)
        return len(sound) > 1600 and loudness(sound[-1600:], hertz) > -30

    await until(heard, f"a tone of {hertz:g} Hz is heard")


def lost_packets(call: Call, since: float) -> int:
    """How many packets of the switch's stream are missing, or belong to another stream."""
    packets = [packet for packet in call.heard.packets if packet.arrived_at >= since]
    return sum(
        (after.sequence - before.sequence) % 65536 != 1 or after.ssrc != before.ssrc
        for before, after in pairwise(packets)
    )


async def falls_back(house: House, caller: Call) -> None:
    """The dialplan's own fallback greets whole in Russian too; our greeting never does."""
    await house.hears(caller, "ru", "greeting", 20)


async def test_a_conversation_outlives_its_controller_unbroken_and_is_recorded_whole(
    house: House, line: Line
) -> None:
    async with house.consultant("201") as consultant, house.caller("+77020000001") as caller:
        leg = await connected(house, caller, consultant)
        await line.kill()
        killed = time.monotonic()
        await both_hear(caller, leg)
        async with running_controller(house.settings, "line-2", house.engine, house.redis):
            async with (
                house.consultant("204") as other,
                house.caller("+77020000002") as next_caller,
            ):
                await house.talk_shortly(await answered_call(next_caller, other))
                await next_caller.ended()
            await line.start()
            await both_hear(caller, leg)
            assert lost_packets(caller, killed) == lost_packets(leg, killed) == 0
            await leg.hang_up()
            await caller.ended()
            appeal = await house.appeal("+77020000001")
    assert appeal.outcome == Outcome.TALKED
    assert (await house.appeal("+77020000002")).outcome == Outcome.TALKED
    (recording,) = await house.recordings(appeal)
    assert recording.state == "closed"
    assert recording.ended_at is not None
    left, right = house.recorded(recording)
    # The recording began when they were connected and ended when the consultant left.
    talked = (recording.ended_at - recording.started_at).total_seconds()
    assert abs(len(left) / 8000 - talked) < 0.5
    assert loudness(left[-8000:-4000], CALLER_TONE) > -20
    assert loudness(right[-8000:-4000], CONSULTANT_TONE) > -20


async def answered_call(caller: Call, consultant: Phone) -> Call:
    await caller.press("0")
    return await consultant.next_call(20)


STAGES = ["greeting", "menu", "waiting"]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_caller_of_a_killed_controller_falls_back_once_it_is_back(
    house: House, line: Line, stage: str
) -> None:
    number = f"+7702000001{STAGES.index(stage)}"
    async with house.caller(number) as caller:
        await house.hears(caller, "kk", "greeting")
        if stage == "menu":
            await caller.press("2")
            await house.hears(caller, "ru", "emergency_hint")
        elif stage == "waiting":
            await caller.press("0")
            await has_happened(house, number, Moment.WAITING)
        await line.kill()
        await line.start()
        await falls_back(house, caller)
        appeal = await house.appeal(number)
        assert appeal.outcome == Outcome.FALLBACK


async def test_a_telephone_that_a_killed_controller_rang_stops_ringing_and_its_caller_falls_back(
    house: House, line: Line
) -> None:
    async with house.consultant("201") as consultant, house.caller("+77020000020") as caller:
        leg = await answered_call(caller, consultant)
        await line.kill()
        await line.start()
        await leg.ended()
        await falls_back(house, caller)
        # The fallback rings the consultant itself: the caller is helped all the same.
        again = await consultant.next_call(20)
        await again.answer()
        await both_hear(caller, again)
        assert (await house.appeal("+77020000020")).outcome == Outcome.FALLBACK


async def test_a_consultant_who_answers_a_killed_controller_is_let_go(
    house: House, line: Line
) -> None:
    async with house.consultant("201") as consultant, house.caller("+77020000021") as caller:
        leg = await answered_call(caller, consultant)
        await line.kill()
        await leg.answer()
        await line.start()
        await leg.ended()
        await falls_back(house, caller)
        assert (await house.appeal("+77020000021")).outcome == Outcome.FALLBACK


@pytest.mark.parametrize("leaver", ["caller", "consultant", "both"])
async def test_who_is_left_alone_while_the_controller_is_dead_is_let_go_when_it_is_back(
    house: House, line: Line, leaver: str
) -> None:
    number = {"caller": "+77020000030", "consultant": "+77020000031", "both": "+77020000032"}[
        leaver
    ]
    async with house.consultant("201") as consultant, house.caller(number) as caller:
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        await line.kill()
        if leaver != "consultant":
            await caller.hang_up()
        if leaver != "caller":
            await leg.hang_up()
        await line.start()
        await asyncio.gather(caller.ended(), leg.ended())
        appeal = await house.appeal(number)
        assert appeal.outcome == Outcome.TALKED
        (recording,) = await house.recordings(appeal)
        assert recording.state == "closed"


async def has_keys(leg: Call, keys: str) -> bool:
    return leg.heard.keys == keys


async def has_happened(house: House, number: str, moment: Moment) -> None:
    async def noted() -> bool:
        appeal = await house.live_appeal(number)
        return appeal is not None and moment in await house.moments(appeal)

    await until(noted, f"{moment} of {number} is in the database")


async def test_a_caller_talking_with_1414_goes_on_when_the_controller_is_killed(
    house: House, line: Line
) -> None:
    async with house.unified_center() as center, house.caller("+77020000040") as caller:
        await caller.press("13")
        leg = await center.next_call(20)
        await leg.answer()
        await both_hear(caller, leg)
        await caller.press("5")
        await until(lambda: has_keys(leg, "5"), "1414's menu hears the caller's key")
        await has_happened(house, "+77020000040", Moment.REDIRECTED)
        await line.kill()
        await line.start()
        await both_hear(caller, leg)
        await caller.hang_up()
        await leg.ended()
        appeal = await house.appeal("+77020000040")
        assert appeal.outcome == Outcome.REDIRECTED
        assert await house.recordings(appeal) == []


async def test_a_call_whose_controller_never_comes_back_gets_its_outcome_from_another(
    house: House, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "SWEEP", 0.3)
    async with house.caller("+77020000050") as caller:
        await has_happened(house, "+77020000050", Moment.GREETING)
        async with running_controller(house.settings, "line-2", house.engine, house.redis):
            await line.kill()
            await caller.hang_up()
            appeal = await house.appeal("+77020000050")
    assert appeal.outcome == Outcome.LOST_TO_A_FAULT


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_without_a_controller_new_calls_fall_back_within_a_second(
    house: House, line: Line, fault: str
) -> None:
    if fault == "killed":
        await line.kill()
    else:
        line.pause()
    try:
        async with house.caller("+77020000060") as caller:
            assert caller.moments["answered"] - caller.moments["invite_sent"] < 1.0
            await falls_back(house, caller)
    finally:
        if fault == "frozen":
            line.go_on()


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


async def served(house: House, extension: str, number: str) -> None:
    """An ordinary call from beginning to end."""
    async with house.consultant(extension) as consultant, house.caller(number) as caller:
        await house.talk_shortly(await answered_call(caller, consultant))
        await caller.ended()
    assert (await house.appeal(number)).outcome == Outcome.TALKED


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
    numbers = ["+77020000100", "+77020000101", "+77020000102"]
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
        await house.switch.kill()
        for call in (talking, waiting, choosing, leg):
            call.drop()
        await house.switch.start()
        appeals = [await house.appeal(number) for number in numbers]
    assert {appeal.outcome for appeal in appeals} == {Outcome.LOST_TO_A_FAULT}
    (recording,) = await house.recordings(appeals[0])
    assert recording.state == "closed"
    await served(house, "204", "+77020000103")


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
            await both_hear(caller, leg)
            await leg.press("*14")
            await leg.ended()
            await house.hears(caller, "kk", "transfer_failed_back", 20)
            await caller.hang_up()
        appeal = await house.appeal(number)
        seen = await house.moments(appeal)
        assert Moment.RECORDING_FAILED in seen
        assert Moment.REDIRECT_RINGING not in seen
        assert center.calls == []
        failed = [e.detail for e in await house.events(appeal) if e.kind == Moment.REDIRECT_FAILED]
        assert failed == [{"why": "recording_not_proved_stopped"}]
