"""A house of which every part can be stopped, and what a test looks at then."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest_asyncio

from callcenter.app import Controller
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.demo.sound import RATE, loudness
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.house import (
    CALLER_TONE,
    CONSULTANT_TONE,
    House,
    open_house,
    until,
)
from tests.calls.parts import Line, OwnPostgres, OwnRedis, running_line
from tests.calls.talking import order

PACKET = 0.02  # seconds of sound


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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fragile_house(
    short_folder: Path, redis_server: OwnRedis, postgres_server: OwnPostgres, built_prompts: Path
) -> AsyncIterator[House]:
    async with open_house(
        short_folder / "fragile",
        built_prompts,
        controllers=(),
        database_url=postgres_server.url,
        redis_url=redis_server.url,
        key_timeout=3.0,
        ring_timeout=15.0,
        wrap_up=0,
        patience=120.0,
        unified_ring_timeout=3.0,
        called_ring_timeout=3.0,
        callback_pauses=(1.0,),
        message_pause=1.0,
    ) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def fragile(fragile_house: House) -> AsyncIterator[House]:
    """A house without a controller; each test brings its own. Nothing may be left."""
    yield fragile_house
    await fragile_house.switch.nothing_left()
    assert await unfinished(fragile_house) == []


@pytest_asyncio.fixture(loop_scope="session")
async def line(fragile: House) -> AsyncIterator[Line]:
    """The controller line-1 of the fragile house, as a process."""
    async with running_line(fragile.settings, "line-1") as running:
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


def lost_packets(call: Call, since: float, until: float = math.inf) -> int:
    """How many packets of the switch's stream are missing, or belong to another stream."""
    packets = [each for each in call.heard.packets if since <= each.arrived_at < until]
    return sum(
        (after.sequence - before.sequence) % 65536 != 1 or after.ssrc != before.ssrc
        for before, after in pairwise(packets)
    )


def longest_gap(call: Call, since: float, until: float = math.inf) -> float:
    """Seconds between two packets of the switch's stream, at most."""
    times = [each.arrived_at for each in call.heard.packets if since <= each.arrived_at < until]
    return max(after - before for before, after in pairwise(times))


def unbroken(
    caller: Call, leg: Call, since: float, until: float = math.inf, *, stalled: float = 0.0
) -> None:
    """Neither lost a packet, nor heard nothing for a tenth of a second.

    `stalled` are seconds for which this process, telephones and all, stood still itself.
    """
    for each in (caller, leg):
        assert lost_packets(each, since, until) == 0
        assert longest_gap(each, since, until) < 0.1 + stalled


async def held(house: House, number: str, extension: str) -> float:
    """Wait until somebody has the call again and puts its caller on hold; when it was asked."""
    at = [0.0]

    async def is_held() -> bool:
        at[0] = time.monotonic()
        with suppress(AskedWrongly, WeFailed):  # nobody has it yet
            await order(house, extension, "hold")
            return True
        return False

    await until(is_held, f"somebody does what {extension} asks", 30)
    await has_happened(house, number, Moment.HELD)
    return at[0]


def lost_sound(call: Call, since: float) -> float:
    """Seconds of the other side's sound that are missing at one place, at most.

    By the stamps of whoever sends: however late a telephone of a test is, that is no gap of ours.
    """
    packets = [packet for packet in call.heard.packets if packet.arrived_at >= since]
    steps = [(after.timestamp - before.timestamp) % 2**32 for before, after in pairwise(packets)]
    return max(steps) / RATE - PACKET


async def falls_back(house: House, caller: Call) -> None:
    """The dialplan's own fallback greets whole in Russian too; our greeting never does."""
    await house.hears(caller, "ru", "greeting", 20)


def waited(call: Call) -> float:
    """Seconds from the call to the first sound: the dialplan's answer (decision 66) has none."""
    return call.moments["first_rtp"] - call.moments["invite_sent"]


async def no_check_is_due(house: House) -> None:
    """Forget that register and switch are to be compared."""
    async with house.engine.begin() as connection:
        await connection.exec_driver_sql(
            "DELETE FROM procrastinate_jobs WHERE task_name = 'ledger.check_calls'"
        )


async def a_check_is_due(house: House) -> None:
    """Wait until they are to be compared, since something was recovered."""

    async def is_due() -> bool:
        query = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'ledger.check_calls'"
        async with house.engine.connect() as connection:
            return bool((await connection.exec_driver_sql(query)).scalar())

    await until(is_due, "register and switch are to be compared")


async def answered_call(caller: Call, consultant: Phone) -> Call:
    await caller.press("0")
    return await consultant.next_call(20)


async def has_happened(house: House, number: str, moment: Moment) -> None:
    async def noted() -> bool:
        appeal = await house.live_appeal(number)
        return appeal is not None and moment in await house.moments(appeal)

    await until(noted, f"{moment} of {number} is in the database")


async def sees(controller: Controller, name: str) -> bool:
    """Whether it hears a controller of this name, which takes over from others."""
    return any(life.startswith(name) for life in controller.channels.lives.roll.serving)


async def has_calls(controller: Controller, count: int = 1) -> bool:
    return len(controller.calls) == count


async def recorded_whole(house: House, number: str) -> None:
    """The one recording of this caller is closed, and as long as the conversation."""
    (recording,) = await house.recordings(await house.appeal(number))
    assert recording.state == "closed"
    assert recording.ended_at is not None
    left, _ = house.recorded(recording)
    talked = (recording.ended_at - recording.started_at).total_seconds()
    assert abs(len(left) / RATE - talked) < 0.5


async def ends_as_one_call(house: House, caller: Call, leg: Call, number: str) -> None:
    """A caller on hold whose call went to another controller comes back, and talks to the end."""
    await order(house, "201", "resume")
    await both_hear(caller, leg)
    await leg.hang_up()
    await caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    moments = await house.moments(appeal)
    for once in (Moment.HELD, Moment.RESUMED, Moment.RECORDING_STOPPED, Moment.ENDED):
        assert moments.count(once) == 1


async def all_is_kept(house: House, numbers: Iterable[str]) -> None:
    """Each caller talked once, and was recorded once, from beginning to end."""
    for number in numbers:
        appeal = await house.appeal(number)
        assert appeal.outcome == Outcome.TALKED
        moments = await house.moments(appeal)
        for once in (Moment.RECEIVED, Moment.RECORDING_STARTED, Moment.RECORDING_STOPPED):
            assert moments.count(once) == 1, await house.story(number)
        assert moments.count(Moment.ENDED) == 1
        await recorded_whole(house, number)


async def served(house: House, extension: str, number: str) -> None:
    """An ordinary call from beginning to end."""
    async with house.consultant(extension) as consultant, house.caller(number) as caller:
        await house.talk_shortly(await answered_call(caller, consultant))
        await caller.ended()
    assert (await house.appeal(number)).outcome == Outcome.TALKED
