"""Many calls end at the same instant, in all stages: nothing is left, nothing is stuck.

    scripts/test tests/calls/test_storm.py --long --storms 20 --seed 7

raises twenty storms of a hundred calls, of seeds 7 to 26. Without `--long` a storm is small,
without `--seed` the first one has the run's.
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

from callcenter.appeals.calls.store import EventRow
from callcenter.platform.storage.redis import open_redis
from callcenter.recordings.store import RecordingRow
from callcenter.sipphone.audio import RATE
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CLAIM_TIMEOUT, CallCenter, running_call_center
from tests.calls.stall_meter import Stalls
from tests.calls.storm import CREW, Pair, Storm, raised
from tests.polling import NotInTime, until
from tests.seeds import SeededRandom, run_seed
from tests.services import new_database

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.long,
]

FRAME = 4  # bytes of one moment in both channels
LATE = 1.5  # seconds that the end of a recording may take when a hundred end at once
#: What the distributor knows of calls and leases; of telephones and people it may know more.
OF_CALLS = {
    f"desk:{each}"
    for each in ("after", "asked", "calls", "held", "holders", "leases", "waiting", "wrap_up")
}
SETTLED = 30.0  # seconds for all of it to be over, on a machine that is busy


@pytest_asyncio.fixture(loop_scope="session")
async def large_call_center(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[CallCenter]:
    with new_database(postgres) as database:
        async with running_call_center(
            short_folder / "large",
            built_prompts,
            crew=CREW,
            claim_timeout=CLAIM_TIMEOUT,
            database_url=database,
            redis_url=f"{redis_url}?db=7",
            key_timeout=60.0,
            ring_timeout=60.0,
            patience=120.0,
            wrap_up=0,
            unified_ring_timeout=5.0,
        ) as call_center:
            # Everybody who orders has connections of their own, as the pages have.
            redis = open_redis(call_center.settings)
            yield replace(call_center, redis=redis)
            await redis.aclose()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each storm, so that each has the time of a test."""
    metafunc.parametrize("storm", range(metafunc.config.getoption("storms")))


async def test_calls_that_end_at_once_leave_nothing_and_lose_nothing(
    large_call_center: CallCenter,
    caplog: pytest.LogCaptureFixture,
    storm: int,
    at_length: bool,
) -> None:
    seed = run_seed() + storm
    try:
        with caplog.at_level(logging.WARNING):
            await weathered(large_call_center, seed, small=not at_length)
        assert [record for record in caplog.records if record.exc_info] == []
    except BaseException as exc:
        exc.add_note(f"to repeat it: --seed {seed}")
        raise


async def weathered(call_center: CallCenter, seed: int, *, small: bool) -> None:
    tasks = tasks_of_ours()
    async with Stalls() as stalls, raised(call_center, SeededRandom(seed), small=small) as storm:
        try:
            await until(lambda: is_quiet(call_center), "no channel is left", SETTLED)
        except NotInTime as exc:
            exc.add_note(await call_center.switch.cli("core show channels verbose"))
            raise
        await call_center.assert_no_resources_left()
        await until(lambda: storm.are_free(list(storm.phones)), "all are free again", SETTLED)
        nothing_is_stored(call_center)
        await everything_is_registered(storm, stalls.total)
    await until(lambda: is_same(tasks), "no task is left", SETTLED)
    await nothing_is_left_at_the_distributor(call_center)


def tasks_of_ours() -> Counter[str]:
    """What runs in this process, by name of the coroutine."""
    names = (str(getattr(task.get_coro(), "__qualname__", "")) for task in asyncio.all_tasks())
    return Counter(names)


async def is_same(before: Counter[str]) -> bool:
    return not tasks_of_ours() - before


async def is_quiet(call_center: CallCenter) -> bool:
    return not await call_center.switch.channels()


async def nothing_is_left_at_the_distributor(call_center: CallCenter) -> None:
    deadline = time.monotonic() + SETTLED
    while left := OF_CALLS & set(await call_center.redis.keys("desk:*")):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.1)


def nothing_is_stored(call_center: CallCenter) -> None:
    """Controllers have forgotten all that they knew of these calls."""
    for each in call_center.controllers:
        left = (each.node.channels.all(), each.distributor.calls, [*each.active_calls])
        assert not any(left), each.name


async def everything_is_registered(storm: Storm, stall: float) -> None:
    """One appeal for each call, with one outcome, and its recordings.

    What is recorded lacks the time in which a busy machine let the telephones send nothing.
    """
    talked = {pair.number: pair for pair in storm.pairs}
    for number, allowed in storm.outcomes.items():
        appeal = await storm.call_center.appeal(number)
        events = await storm.call_center.events(appeal)
        story = await storm.call_center.story(number)
        times = Counter(event.kind for event in events)
        assert Outcome(str(appeal.outcome)) in allowed, story
        assert times[CallEvent.RECEIVED] == times[CallEvent.ENDED] == 1, story
        assert events[-1].kind == CallEvent.ENDED, story
        rows = await storm.call_center.recordings(appeal)
        assert len(rows) >= times[CallEvent.CONNECTED], story
        lengths = []
        for row in rows:
            recorded = length(storm, row) if has_begun(events, str(row.id)) else None
            # Who hangs up in the moment in which it begins sends nothing that it could get.
            assert row.state == ("empty" if recorded == 0 else "closed"), story
            if recorded is not None:
                lengths.append(recorded)
                assert abs(recorded - reported(events, str(row.id))) < LATE + stall, story
        if number in talked and len(lengths) == 1:
            assert abs(lengths[0] - heard(talked[number])) < LATE + stall, story


def has_begun(events: list[EventRow], recording: str) -> bool:
    """False for who hung up in the moment in which they were connected: there is nothing."""
    at = {each.kind: each.at for each in events if each.detail.get("recording") == recording}
    if CallEvent.RECORDING_STARTED in at:
        return True
    assert (events[-1].at - at[CallEvent.RECORDING_FAILED]).total_seconds() < LATE
    return False


def length(storm: Storm, row: RecordingRow) -> float:
    """Seconds of a recording as the switch wrote it."""
    return (storm.call_center.settings.spool / row.spool_name).stat().st_size / FRAME / RATE


def reported(events: list[EventRow], recording: str) -> float:
    """Seconds for which a recording ran, by what stands on the appeal."""
    at = {each.kind: each.at for each in events if each.detail.get("recording") == recording}
    return (at[CallEvent.RECORDING_STOPPED] - at[CallEvent.RECORDING_STARTED]).total_seconds()


def heard(pair: Pair) -> float:
    """Seconds from the consultant's answer to the first goodbye, by the telephones."""
    goodbyes = [
        call.moments[how]
        for call in (pair.caller, pair.consultant)
        for how in ("bye_sent", "bye_received")
        if how in call.moments
    ]
    return min(goodbyes) - pair.consultant.moments["acknowledged"]
