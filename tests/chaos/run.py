"""One run: load, one fault after the other at times by chance, then what the register says."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta

import soundfile
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.sipphone.call import SipCall
from callcenter.telephony.calls.journal.spool import pending_spools
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.reconciliation.jobs import account_for_calls, check_calls
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CREW, CallCenter
from tests.calls.disposable_stack import lost_sound
from tests.calls.stall_meter import Stalls
from tests.chaos.faults import Fault, NotTried, Parts
from tests.chaos.load import (
    CONVERSATIONS,
    Attempt,
    Load,
    at_work,
    hears,
    is_dead,
    longest_gap,
    toned,
)
from tests.chaos.result import HEAD, Result, Row
from tests.polling import NotInTime, until
from tests.seeds import SeededRandom

TALK_SOON = 90.0  # seconds by which enough talk, else a fault is injected under fewer
SETTLES = 3.0  # seconds for a transfer or a hold that was begun
RECOVERS = 60.0  # seconds within which the next caller must be served and written down
UNKEPT = 2.0  # seconds of what a caller heard that may be unrecorded: CEL tolerates as much
# Of a conversation of milliseconds there is no packet that could have been recorded.
_PRESERVED = """
    SELECT caller_number, count(DISTINCT appeal.id) FILTER (WHERE outcome IS NOT NULL),
        count(recording.id) FILTER (WHERE state = 'stored'),
        count(recording.id) FILTER (WHERE state IN ('recording', 'closed')),
        count(recording.id) FILTER (WHERE state = 'failed' AND coalesce(
            recording.ended_at - started_at, interval '1 s') > interval '0.1 s' OR abs(
            duration_ms - 1000 * extract(epoch FROM recording.ended_at - started_at)) > 2000),
        max(outcome)
    FROM appeal LEFT JOIN recording ON recording.appeal_id = appeal.id
    WHERE caller_number = ANY(:numbers) GROUP BY caller_number
"""
_NOTHING = (0, 0, 0, 0, None)
_STORED = """
    SELECT caller_number, store_name FROM appeal JOIN recording ON recording.appeal_id = appeal.id
    WHERE caller_number = ANY(:numbers) AND state = 'stored'
"""


def silently(_: str) -> None:
    """Say nothing of how it goes."""


async def chaos(
    parts: Parts,
    faults: Sequence[Fault],
    *,
    seed: int,
    callers: int,
    every: float,
    crew: Sequence[str] = tuple(CREW),
    conversations: int = CONVERSATIONS,
    say: Callable[[str], None] = silently,
) -> Result:
    """Inject these faults while at least so many call, one every `every` seconds on average.

    Each is injected while so many `conversations` go on.
    """
    began, rng = datetime.now(UTC), SeededRandom(seed)
    load = Load(parts.call_center, seed, crew, talk=conversations / CONVERSATIONS)
    existing = await _differences(parts.call_center, began)
    all_injected = asyncio.Event()
    say(HEAD)
    async with AsyncExitStack() as stack:
        for extension in crew:
            await stack.enter_async_context(at_work(load, extension))
        arriving = asyncio.create_task(_arrive(load, callers, every, all_injected))
        rows: list[Row] = []

        async def enough_talk() -> bool:
            return len(_talking(load)) >= conversations

        for fault in faults:
            await asyncio.sleep(rng.uniform(2, 5))
            with suppress(NotInTime):  # the result says so
                await until(enough_talk, "enough talk", TALK_SOON)
            rows.append(await _inject(parts, load, fault, len(rows), conversations))
            say(rows[-1].line())
        all_injected.set()
        await arriving
        while load.callers:
            await asyncio.wait(load.callers)
    say("all faults are over, the last callers have gone; looking at what was kept")
    result = Result(rows, load.attempts)
    await _judge(parts, result, began, existing)
    return result


async def _arrive(load: Load, callers: int, every: float, enough: asyncio.Event) -> None:
    while len(load.attempts) < callers or not enough.is_set():
        if len(load.attempts) < callers or len(load.callers) < 2 * len(load.crew):
            load.begin()
        await asyncio.sleep(load.rng.expovariate(1 / every))


async def _inject(parts: Parts, load: Load, fault: Fault, number: int, expected: int) -> Row:
    load.calm.clear()
    await asyncio.sleep(SETTLES)  # what consultants had begun is not the fault's
    talking = _talking(load)
    hearing = [each for each in talking if hears(each, CONSULTANT_TONE)]  # and no music
    hearing += [leg for leg in load.legs if hears(leg, CALLER_TONE)]
    row = Row(fault.__name__, time.monotonic(), expected, len(talking))
    async with Stalls() as stalls:
        try:
            await fault(parts)
            caller = f"+7706{number:07}"
            await until(lambda: _serves(parts, caller), "a new caller is served", RECOVERS)
        except NotTried as exc:
            row.not_tried = str(exc)
    row.stalled = stalls.longest
    row.ended = time.monotonic()
    row.recovery = row.ended - row.began
    row.after = sum(map(_goes_on, talking))
    heard = [each for each in hearing if _goes_on(each)]
    row.longest_gap = max((longest_gap(each, row.began) for each in heard), default=0.0)
    row.missing = max((lost_sound(each, row.began) for each in heard), default=0.0)
    load.calm.set()
    return row


def _talking(load: Load) -> list[SipCall]:
    """The calls of those who talk; a caller whose switch was killed does not know it yet."""
    return [each.call for each in load.talking if each.call and not is_dead(each.call)]


def _goes_on(call: SipCall) -> bool:
    return not (call.is_over or is_dead(call))


async def _serves(parts: Parts, number: str) -> bool:
    """Whether a caller is answered by us, as the database says a moment later."""
    await parts.revive()
    try:
        async with parts.call_center.phone(number) as phone:
            call = await phone.call("111")
            await call.answered(2)
            await asyncio.sleep(0.5)
            await call.hang_up()
        async with asyncio.timeout(2):
            while await parts.call_center.live_appeal(number) is None:
                await asyncio.sleep(0.1)
    except (CallcenterError, SQLAlchemyError, TimeoutError, OSError):
        return False
    return True


async def _judge(parts: Parts, result: Result, began: datetime, existing: Collection[str]) -> None:
    """What is in the register once everything had its time, but for what was `known` before."""
    call_center = parts.call_center
    tools = WorkerResources(call_center.settings, call_center.engine)

    async def all_is_stored() -> bool:
        await parts.revive()
        if not await asyncio.to_thread(pending_spools, call_center.settings.journals):
            await account_for_calls(tools, timedelta())
        return await _look(call_center, result)

    with suppress(NotInTime):  # the result says what is missing
        await until(all_is_stored, "everything is kept", RECOVERS)
    _, mended = await check_calls(tools, since=began, until=datetime.now(UTC), repair=True)
    result.mended = len(mended)
    result.differences = [
        each for each in await _differences(call_center, began) if each not in existing
    ]
    await _look(call_center, result)
    await _listen(call_center, result)
    result.blame()
    lost = (result.callers_lost, result.without_appeal, result.without_recording, result.with_gaps)
    numbers = sorted({number for each in lost for number in each})
    result.stories = [f"{number}: {await call_center.story(number)}" for number in numbers]


async def _differences(call_center: CallCenter, since: datetime) -> list[str]:
    """Between register and switch, of calls since then, and files that nobody knows."""
    tools = WorkerResources(call_center.settings, call_center.engine)
    left, _ = await check_calls(tools, since=since, until=datetime.now(UTC), repair=False)
    return [f"{each.kind}: {each.subject}: {each.why}" for each in left]


async def _look(call_center: CallCenter, result: Result) -> bool:
    """Put down what is missing; whether nothing is, and nothing is under way."""
    callers = {"numbers": [each.number for each in result.attempts]}
    async with unit_of_work(call_center.engine) as connection:
        preserved = {row[0]: row[1:] for row in await connection.execute(text(_PRESERVED), callers)}
    existing = {each: preserved.get(each.number, _NOTHING) for each in result.attempts}
    spared = {each for each in existing if result.died_under(each)}
    result.callers_lost = [
        each.number
        for each, has in existing.items()
        if each not in spared and (not each.answered or _was_cut_off(each, has[4]))
    ]
    answered = {each: has for each, has in existing.items() if each.answered}
    result.without_appeal = [each.number for each, has in answered.items() if has[0] != 1]
    spoiled = [each for each, has in answered.items() if has[3]]
    result.with_gaps = [each.number for each in spoiled if each not in spared]
    under_way = any(has[2] for has in existing.values())
    await asyncio.sleep(0.5)
    return not (result.without_appeal or under_way)


def _was_cut_off(caller: Attempt, outcome: str | None) -> bool:
    """Whoever hangs up while a controller is dead is lost to a fault in the register, too."""
    return not caller.left and outcome in (None, Outcome.LOST_TO_A_FAULT)


async def _listen(call_center: CallCenter, result: Result) -> None:
    """Put down of whose conversation, as it was heard by the caller, no recording tells."""
    heard = await asyncio.to_thread(
        lambda: {each.number: each.heard_a_consultant for each in result.attempts}
    )
    async with unit_of_work(call_center.engine) as connection:
        rows = await connection.execute(text(_STORED), {"numbers": list(heard)})
        stored = [(row[0], row[1]) for row in rows]
    recorded = await asyncio.to_thread(_recorded, call_center.settings, stored)
    short = [n for n, seconds in heard.items() if seconds - recorded.get(n, 0.0) > UNKEPT]
    result.without_recording = [number for number in short if number not in recorded]
    result.with_gaps = sorted({*result.with_gaps, *(recorded.keys() & short)})


def _recorded(settings: Settings, stored: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Seconds of consultants in all that was recorded of a caller, by the caller's number."""
    seconds: dict[str, float] = {}
    for number, name in stored:
        with SealedStore(settings).open(name) as audio:
            sound, _ = soundfile.read(audio, dtype="int16")
        seconds[number] = seconds.get(number, 0.0) + toned(sound[:, 1], CONSULTANT_TONE)
    return seconds
