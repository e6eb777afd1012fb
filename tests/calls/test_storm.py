"""A hundred calls end at the same instant, in all stages: nothing is left, nothing is stuck.

    scripts/test tests/calls/test_storm.py --storms 20 --seed 7

raises twenty storms, of seeds 7 to 26. Without `--seed` the first one has the seed of the run.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from callcenter.appeals.store import EventRow
from callcenter.demo.sound import RATE
from callcenter.line.outcomes import Moment, Outcome
from callcenter.recordings.store import RecordingRow
from callcenter.storage.redis import open_redis
from tests.calls.house import House, open_house, until
from tests.calls.stalls import Stalls
from tests.calls.storm import CREW, Pair, Storm, raised
from tests.seeds import SeededRandom, run_seed
from tests.services import new_database

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]

FRAME = 4  # bytes of one moment in both channels
LATE = 1.5  # seconds that the end of a recording may take when a hundred end at once
#: What the desk knows of calls and leases; of telephones and people it may know more than before.
OF_CALLS = {
    f"desk:{each}"
    for each in ("after", "asked", "calls", "held", "holders", "leases", "waiting", "wrap_up")
}
SETTLED = 30.0  # seconds for all of it to be over, on a machine that is busy


@pytest_asyncio.fixture(loop_scope="session")
async def large_house(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[House]:
    with new_database(postgres) as database:
        async with open_house(
            short_folder / "large",
            built_prompts,
            crew=CREW,
            database_url=database,
            redis_url=f"{redis_url}?db=7",
            key_timeout=60.0,
            ring_timeout=60.0,
            patience=120.0,
            wrap_up=0,
            unified_ring_timeout=2.0,
        ) as house:
            # Everybody who orders has connections of their own, as the pages have.
            orders = open_redis(house.settings)
            yield replace(house, redis=orders)
            await orders.aclose()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each storm, so that each has the time of a test."""
    metafunc.parametrize("storm", range(metafunc.config.getoption("storms")))


async def test_a_hundred_calls_that_end_at_once_leave_nothing_and_lose_nothing(
    large_house: House, caplog: pytest.LogCaptureFixture, storm: int
) -> None:
    seed = run_seed() + storm
    try:
        with caplog.at_level(logging.WARNING):
            await weathered(large_house, seed)
        assert [record for record in caplog.records if record.exc_info] == []
    except BaseException as exc:
        exc.add_note(f"to repeat it: --seed {seed}")
        raise


async def weathered(house: House, seed: int) -> None:
    tasks = tasks_of_ours()
    async with Stalls() as stalls, raised(house, SeededRandom(seed)) as storm:
        try:
            await until(lambda: is_quiet(house), "no channel is left", SETTLED)
        except AssertionError as exc:
            exc.add_note(await house.switch.cli("core show channels verbose"))
            raise
        await house.nothing_left()
        await until(lambda: storm.are_free(list(storm.phones)), "all are free again", SETTLED)
        nothing_is_kept(house)
        await everything_is_told(storm, stalls.total)
    await until(lambda: is_same(tasks), "no task is left", SETTLED)
    await nothing_is_left_at_the_desk(house)


def tasks_of_ours() -> Counter[str]:
    """What runs in this process, by name of the coroutine."""
    names = (str(getattr(task.get_coro(), "__qualname__", "")) for task in asyncio.all_tasks())
    return Counter(names)


async def is_same(before: Counter[str]) -> bool:
    return not tasks_of_ours() - before


async def is_quiet(house: House) -> bool:
    return not await house.switch.channels()


async def nothing_is_left_at_the_desk(house: House) -> None:
    deadline = time.monotonic() + SETTLED
    while left := OF_CALLS & set(await house.redis.keys("desk:*")):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.1)


def nothing_is_kept(house: House) -> None:
    """Controllers have forgotten all that they knew of these calls."""
    for each in house.controllers:
        in_switch = (each.channels._channels, each.switchboard._ringing)
        at_desk = (each.desk._places, each.desk._occupied)
        assert not any((*in_switch, *at_desk, [*each.under_way])), each.name


async def everything_is_told(storm: Storm, stall: float) -> None:
    """One appeal for each call, with one outcome, and its recordings.

    What is recorded lacks the time in which a busy machine let the telephones send nothing.
    """
    talked = {pair.number: pair for pair in storm.pairs}
    for number, allowed in storm.outcomes.items():
        appeal = await storm.house.appeal(number)
        events = await storm.house.events(appeal)
        story = await storm.house.story(number)
        times = Counter(event.kind for event in events)
        assert Outcome(str(appeal.outcome)) in allowed, story
        assert times[Moment.RECEIVED] == times[Moment.ENDED] == 1, story
        assert events[-1].kind == Moment.ENDED, story
        rows = await storm.house.recordings(appeal)
        assert {row.state for row in rows} <= {"closed"}, story
        assert len(rows) >= times[Moment.CONNECTED], story
        lengths = [length(storm, row) for row in rows if has_begun(events, str(row.id))]
        for row in rows:
            if has_begun(events, str(row.id)):
                off = length(storm, row) - told(events, str(row.id))
                assert abs(off) < LATE + stall, story
        if number in talked and len(lengths) == 1:
            assert abs(lengths[0] - heard(talked[number])) < LATE + stall, story


def has_begun(events: list[EventRow], recording: str) -> bool:
    """False for who hung up in the moment in which they were connected: there is nothing."""
    at = {each.kind: each.at for each in events if each.detail.get("recording") == recording}
    if Moment.RECORDING_STARTED in at:
        return True
    assert (events[-1].at - at[Moment.RECORDING_FAILED]).total_seconds() < LATE
    return False


def length(storm: Storm, row: RecordingRow) -> float:
    """Seconds of a recording as the switch wrote it."""
    return (storm.house.settings.spool / row.spool_name).stat().st_size / FRAME / RATE


def told(events: list[EventRow], recording: str) -> float:
    """Seconds for which a recording ran, by what stands on the appeal."""
    at = {each.kind: each.at for each in events if each.detail.get("recording") == recording}
    return (at[Moment.RECORDING_STOPPED] - at[Moment.RECORDING_STARTED]).total_seconds()


def heard(pair: Pair) -> float:
    """Seconds from the consultant's answer to the first goodbye, by the telephones."""
    goodbyes = [
        call.moments[how]
        for call in (pair.caller, pair.consultant)
        for how in ("bye_sent", "bye_received")
        if how in call.moments
    ]
    return min(goodbyes) - pair.consultant.moments["acknowledged"]
