"""The benchmark: `python -m tests.bench compare` (what `make bench` runs), and more by name."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import ROOT
from tests.bench import appeals as finding_appeals
from tests.bench import audit as auditing
from tests.bench import backups as backing_up
from tests.bench import behind as falling_behind
from tests.bench import compare as comparing
from tests.bench import cost as costing
from tests.bench import distributor as distributing
from tests.bench import events as eventing
from tests.bench import figures as figuring
from tests.bench import growth as growing
from tests.bench import idle as idling
from tests.bench import interactions as interacting
from tests.bench import lengths as explaining_lengths
from tests.bench import load as loading
from tests.bench import notice as noticing
from tests.bench import overload as overloading
from tests.bench import pages as paging
from tests.bench import picture as drawing
from tests.bench import ready as readying
from tests.bench import recorded as finding
from tests.bench import sealing as measuring_sealing
from tests.bench import silence as listening
from tests.bench.machine import about
from tests.bench.overload_curve import measure_curve
from tests.bench.results import Sample, save
from tests.bench.results import load as read
from tests.bench.rig import TALK, prompts
from tests.polling import NotInTime

RESULTS = ROOT / "bench" / "results"
PICTURE = ROOT / "docs" / "performance.svg"

_begun = time.monotonic()


def say(words: str) -> None:
    """Progress, with the minutes since the beginning."""
    minutes, seconds = divmod(int(time.monotonic() - _begun), 60)
    click.echo(f"{minutes:2}:{seconds:02}  {words}")


class ResultsWriter:
    """Writes what there is so far, so that an interrupted run is not lost."""

    def __init__(self, name: str) -> None:
        self.path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{name}.json"
        self._about = about(" ".join(["python -m tests.bench", *sys.argv[1:]]))

    def __call__(self, samples: Sequence[Sample]) -> None:
        save(self.path, self._about, samples)


@click.group()
def main() -> None:
    """Measure ours, by itself and against the switch alone. Wants a quiet machine."""


@main.command()
@click.option("--rounds", default=3, type=click.IntRange(1), show_default=True)
def compare(rounds: int) -> None:
    """Ours against a plain dialplan of the same Asterisk, in turn."""
    write = ResultsWriter("compare")
    budget = comparing.QUICK if rounds == 1 else comparing.Budget(rounds=rounds)
    samples = asyncio.run(comparing.compare(budget, prompts(), say, write))
    click.echo("\n" + comparing.comparison(samples))
    click.echo(f"\n{_shown(write.path)}")


@main.command()
def figures() -> None:
    """Latencies at 1 and 20 calls at once, CPU a call, memory of a live call."""
    write = ResultsWriter("figures")
    click.echo("\n" + figuring.shown(asyncio.run(figuring.figures(prompts(), say, write))))
    click.echo(f"\n{_shown(write.path)}")


@main.command()
@click.option("--side", "sides", multiple=True, type=click.Choice(list(comparing.SIDES)))
@click.option("--rounds", default=1, type=click.IntRange(1), show_default=True)
@click.option("--rate", default=10.0, show_default=True)
@click.option("--seconds", default=15.0, show_default=True)
@click.option("--talk", default=TALK, show_default=True, help="Seconds from key to hang-up.")
def cost(sides: Sequence[str], rounds: int, rate: float, seconds: float, talk: float) -> None:
    """CPU a call at one rate, by process, and commits: of ours, or of the sides that are named."""
    write = ResultsWriter("cost")
    names = sides or ("ours",)
    taking = costing.costs(names, rounds, rate, seconds, talk, prompts(), say, write)
    click.echo("\n" + costing.shown(asyncio.run(taking)))
    click.echo(f"\n{_shown(write.path)}")


@main.command()
@click.option("--rounds", default=3, type=click.IntRange(1), show_default=True)
@click.option("--rate", default=5.0, show_default=True, help="New calls a second.")
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--talk", default=TALK, show_default=True, help="Seconds from key to hang-up.")
@click.option("--appeals", default=100_000, show_default=True, help="In the database before.")
def backups(rounds: int, rate: float, seconds: float, talk: float, appeals: int) -> None:
    """Calls without and beside backups: their cost; fails when one is lost or not recorded."""
    write = ResultsWriter("backups")
    samples = asyncio.run(
        backing_up.compare_with_backups(rounds, rate, seconds, talk, appeals, prompts(), say, write)
    )
    click.echo("\n" + backing_up.shown(samples))
    click.echo(f"\n{_shown(write.path)}")
    sys.exit(not backing_up.is_whole(samples))


@main.command()
@click.option("--side", default="ours", type=click.Choice(list(comparing.SIDES)), show_default=True)
@click.option("--calls", default=100, type=click.IntRange(1), show_default=True)
@click.option("--minutes", default=2.0, type=click.FloatRange(0.5), show_default=True)
@click.option(
    "--talk", default=loading.TALK, show_default=True, help="Seconds from key to hang-up."
)
@click.option(
    "--packet", default="20", type=click.Choice(["20", "40", "60"]), help="Milliseconds of sound."
)
def load(side: str, calls: int, minutes: float, talk: float, packet: str) -> None:
    """So many conversations at once for so long: what is lost, and what grows."""
    write = ResultsWriter("load")
    frames = int(packet) // 20
    loaded = loading.load(side, calls, minutes, talk, frames, prompts(), say, write)
    sample = asyncio.run(loaded)
    click.echo("\n" + loading.shown(sample))
    click.echo(f"\n{_shown(write.path)}")


@main.command()
@click.option("--rate", default=16.0, show_default=True, help="New calls a second.")
@click.option("--seconds", default=20.0, show_default=True)
def lengths(rate: float, seconds: float) -> None:
    """Why recordings are shorter than their conversations: who was late."""
    found = asyncio.run(explaining_lengths.lengths(rate, seconds, prompts(), say))
    click.echo("\n" + explaining_lengths.shown(found))


@main.command()
@click.option("--side", "sides", multiple=True, type=click.Choice(list(comparing.SIDES)))
@click.option("--rate", default=20.0, show_default=True, help="New calls a second.")
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--loops", default=2, type=click.IntRange(0), show_default=True, help="Busy loops.")
def overload(sides: Sequence[str], rate: float, seconds: float, loops: int) -> None:
    """Both sides beside busy loops: who was served, by whom, and what was lost."""
    names = sides or tuple(comparing.SIDES)
    found = asyncio.run(overloading.overload(names, rate, seconds, loops, prompts(), say))
    click.echo("\n" + overloading.shown(found))


@main.command("overload-curve")
@click.option("--seconds", default=60.0, show_default=True, help="Of each measurement.")
def overload_curve(seconds: float) -> None:
    """Calls served at and past the rate that plain carries; fails when ours loses any."""
    found = asyncio.run(measure_curve(seconds, prompts(), say))
    click.echo("\n" + found.table())
    sys.exit(bool(found.faults()))


@main.command()
@click.option("--seconds", default=60.0, show_default=True, help="Jobs come once a minute.")
def idle(seconds: float) -> None:
    """What all processes use while nobody calls: CPU and wake-ups."""
    click.echo("\n" + asyncio.run(idling.idle(seconds, prompts())))


@main.command()
@click.option("--seconds", default=60.0, show_default=True, help="Pages begin anew each 50 s.")
def pages(seconds: float) -> None:
    """What open pages of 60 consultants and 5 supervisors use while nothing happens."""
    click.echo("\n" + asyncio.run(paging.pages(seconds, prompts())))


@main.command()
@click.option("--times", default=20, show_default=True, help="How often each is pressed.")
def interactions(times: int) -> None:
    """What a consultant waits for after a key: milliseconds until Chromium has painted it."""
    click.echo("\n" + asyncio.run(interacting.interactions(times)))


@main.command()
def growth() -> None:
    """Cost a call with more calls, more consultants, more appeals."""
    write = ResultsWriter("growth")
    click.echo("\n" + growing.shown(asyncio.run(growing.growth(prompts(), say, write))))
    click.echo(f"\n{_shown(write.path)}")


@main.command()
def ready() -> None:
    """From "the consultant is ready" to "their telephone rings", with 300 who wait."""
    click.echo("\n" + readying.shown(asyncio.run(readying.ready(prompts(), say))))


@main.command()
def notice() -> None:
    """From a death to help: of a controller, of all controllers, of Asterisk."""
    click.echo("\n" + noticing.shown(asyncio.run(noticing.notice(prompts(), say))))


@main.command()
@click.option("--humming", is_flag=True, help="Prompts are tones: no pause in them counts.")
def silence(humming: bool) -> None:
    """The longest silence that waiting callers hear, a consultant declining them in turn."""
    heard = asyncio.run(listening.silence(prompts(), humming, say))
    click.echo("\n" + listening.shown(heard))


@main.command()
def distributor() -> None:
    """What an operation of the distributor costs Redis, with more consultants and more callers."""
    click.echo("\n" + distributing.costs(say))


@main.command()
def sealing() -> None:
    """How many times faster than real time recordings are sealed, and in how much memory."""
    click.echo("\n" + measuring_sealing.shown(measuring_sealing.measure(prompts(), say)))


@main.command()
@click.option("--at-once", default=300, type=click.IntRange(1), show_default=True)
@click.option("--rate", default=5.0, show_default=True, help="Coming a second after that.")
@click.option("--seconds", default=60.0, show_default=True, help="For so long.")
@click.option(
    "--away", "absent", default=0.0, help="Seconds for which the store, of S3 then, is away."
)
def behind(at_once: int, rate: float, seconds: float, absent: float) -> None:
    """How long the worker takes to seal conversations that all end in one second."""
    with tempfile.TemporaryDirectory(prefix="cc-") as folder:
        measuring = falling_behind.behind(
            Path(folder), at_once, rate, seconds, absent, prompts(), say
        )
        click.echo("\n" + asyncio.run(measuring))


@main.command()
@click.option("--rounds", default=3, type=click.IntRange(1), show_default=True)
def events(rounds: int) -> None:
    """What events and requests cost: filtered or not, by WebSocket or by HTTP."""
    write = ResultsWriter("events")
    samples = asyncio.run(eventing.events(rounds, prompts(), say, write))
    click.echo("\n" + eventing.shown(samples))
    click.echo(f"\n{_shown(write.path)}")


@main.command()
@click.argument("results", type=click.Path(path_type=Path, exists=True))
def picture(results: Path) -> None:
    """Draw a comparison into docs/performance.svg, and show its tables again."""
    reported, samples = read(results)
    PICTURE.write_text(drawing.picture(samples, reported), encoding="utf-8")
    for key, value in reported.items():
        click.echo(f"{key}: {value}")
    click.echo("\n" + comparing.comparison(samples))
    click.echo(f"\npicture: {PICTURE.relative_to(ROOT)}")


def _shown(path: Path) -> str:
    return f"results: {path.relative_to(ROOT)}"


@main.command("appeals")
@click.option("--appeals", default=1_000_000, type=click.IntRange(1), show_default=True)
def search(appeals: int) -> None:
    """How long it takes to find an appeal among many."""
    with tempfile.TemporaryDirectory(prefix="cc-") as folder:
        click.echo(asyncio.run(finding_appeals.measure(Path(folder), appeals, say)))


@main.command()
@click.option("--recordings", default=1_000_000, type=click.IntRange(1), show_default=True)
def recorded(recordings: int) -> None:
    """How long it takes to find recordings among many."""
    with tempfile.TemporaryDirectory(prefix="cc-") as folder:
        click.echo(asyncio.run(finding.find(Path(folder), recordings, say)))


@main.command()
@click.option("--entries", default=1_000_000, type=click.IntRange(1), show_default=True)
def audit(entries: int) -> None:
    """How long a long audit log takes to be verified."""
    with tempfile.TemporaryDirectory(prefix="cc-") as folder:
        click.echo(auditing.verifying(Path(folder), entries, say))


if __name__ == "__main__":
    try:
        main()
    except (CallcenterError, NotInTime) as exc:
        sys.exit(f"benchmark: {exc}")
