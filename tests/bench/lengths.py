"""Why a recording is shorter than the bench's conversation: who was late, by CEL, call by call.

The bench counts from the consultant's ACK. Asterisk notes in CEL when it took the answer, when both
were in the bridge, and the hang-up; the recording ends with that, so it began its length before.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from callcenter.telephony.reconciliation.cel import CelEvent, parse
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.bench.results import OFF, Spread, table
from tests.bench.rig import TALK, rig
from tests.bench.sides import Product, Stock
from tests.bench.telephones import SECOND_KEY, PlacedCall, RungLeg
from tests.bench.usage import cpu_seconds

SPARE = 50  # consultants more than talk at once
STORED = """
    SELECT a.caller_number, a.call_id, r.duration_ms
    FROM appeal a JOIN recording r ON r.appeal_id = a.id
    WHERE a.caller_number = ANY(%s) AND r.state = 'stored'
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds of one call; together they are what the recording lacks."""

    answer: float  #: from the consultant's ACK to the answer in Asterisk
    bridge: float  #: from that until both are in the bridge: nobody hears anybody yet
    recorder: float  #: from that to the recording's first frame: said and not recorded
    hang_up: float  #: from the hang-up until Asterisk noted it, taken off


class Marks(NamedTuple):
    """Epoch seconds of the first event of each channel, by its id."""

    answers: Mapping[str, float]
    hang_ups: Mapping[str, float]
    bridged: Mapping[str, Mapping[str, float]]  #: by call, then channel


async def lengths(rate: float, seconds: float, built: Path, say: Say) -> list[Delays]:
    """The delays of each call of a load of this rate, in calls a second."""
    sides: list[Product] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Product:
        sides.append(Product(folder, prompts, stock))
        return sides[0]

    stock = Stock(round(min(rate * (TALK + SECOND_KEY), rate * seconds)) + SPARE)
    async with rig(make, stock, built) as running:
        (side,) = sides
        before = cpu_seconds(side.roots())
        calls = await running.load(
            iter([1 / rate] * round(rate * seconds)), TALK, watch=lambda _: True
        )
        used = cpu_seconds(side.roots())
        say(", ".join(f"{name} {used[name] - before[name]:.1f} s of CPU" for name in used))
        numbers = [call.number for call in calls if call.answered_at is not None]
        await side.settled(numbers)
        legs = await side.legs(numbers, running.consultants.legs)
        stored = {number: (call, ms) for number, call, ms in await side.query(STORED, numbers)}
        lines = cel_file_of(side.settings).read_bytes().splitlines()
    marks = _marks(event for event in map(parse, lines) if event is not None)
    found = [
        _delays(call, legs.get(call.number, ()), *stored[call.number], marks)
        for call in calls
        if call.number in stored
    ]
    return [each for each in found if each is not None]


def _marks(events: Iterable[CelEvent]) -> Marks:
    answers: dict[str, float] = {}
    hang_ups: dict[str, float] = {}
    bridged: dict[str, dict[str, float]] = defaultdict(dict)
    firsts = {"ANSWER": answers, "HANGUP": hang_ups}
    for event in events:
        of_channel = bridged[event.call_id] if event.event == "BRIDGE_ENTER" else None
        if (first := firsts.get(event.event, of_channel)) is not None:
            first.setdefault(event.channel_id, event.at.timestamp())
    return Marks(answers, hang_ups, bridged)


def _delays(
    call: PlacedCall, legs: Sequence[RungLeg], call_id: str, duration_ms: int, marks: Marks
) -> Delays | None:
    """None for a call that the consultant did not hear, or whose events are not all there."""
    offset = time.time() - time.monotonic()
    leg = next((each for each in legs if each.acknowledged_at is not None), None)
    channels = marks.bridged.get(call_id, {})
    consultant = next((each for each in channels if each != call_id), "")
    answer, hang_up = marks.answers.get(consultant), marks.hang_ups.get(call_id)
    if leg is None or leg.acknowledged_at is None or answer is None or hang_up is None:
        return None
    end = min(at for at in (call.ended_at, leg.ended_at) if at is not None)
    bridged = max(channels.values())
    spans = (
        answer - (leg.acknowledged_at + offset),
        bridged - answer,
        hang_up - duration_ms / 1000 - bridged,
        end + offset - hang_up,
    )
    return Delays(*(span * 1000 for span in spans))


def shown(found: Sequence[Delays]) -> str:
    """The table."""
    total = [sum(asdict(each).values()) for each in found]
    rows = [("", "p50", "p95", "worst, ms")]
    spans = {name: [asdict(each)[name] for each in found] for name in Delays.__slots__}
    for name, values in (spans | {"recording lacks": total}).items():
        spread = Spread.of(values)
        rows.append((name, f"{spread.p50:.1f}", f"{spread.p95:.1f}", f"{spread.worst:.1f}"))
    off = sum(abs(each) > OFF for each in total)
    return f"{table(rows)}\n{off} of {len(found)} recordings are off by over {OFF:g} ms"
