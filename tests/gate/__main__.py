"""`scripts/test`: the checks, then the tests in their lanes, then what they say of the commit."""

import os
import sys
from pathlib import Path

import click

from tests.gate.run import Limits, Request, prepared_gate
from tests.rooms import UnknownRoom, files_of
from tests.seeds import SeedError

EPILOG = """
\b
scripts/test                    what CI runs
scripts/test calls recordings   the tests of these rooms
scripts/test tests/web/test_search.py -k found
"""


@click.command(
    epilog=EPILOG,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "--quick",
    is_flag=True,
    help="A test of each capability, and what needs no server, but nothing slow: 8 minutes.",
)
@click.option("--seed", type=int, help="Draw with this seed; without it, that of tests/seed.")
@click.option(
    "--minutes",
    default=Limits.minutes,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="After which the run stops itself and has failed.",
)
@click.option(
    "--times",
    is_flag=True,
    help="Measure, and say for each folder and the fifty dearest tests how many seconds were"
    " waiting and how many of processor.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ROOM|PATH]... [OPTION]...")
def main(
    quick: bool,
    seed: int | None,
    minutes: float,
    times: bool,
    arguments: tuple[str, ...],
) -> None:
    """Check and test this clone, as CI does.

    Runs every test, or those of each ROOM (of tests/rooms.toml) and PATH (which has a slash).
    What follows, from the first OPTION on, goes to pytest.
    """
    repository = Path.cwd()
    try:
        request = _request(quick, seed, times, arguments)
    except UnknownRoom as exc:
        raise click.UsageError(str(exc)) from exc
    try:
        with prepared_gate(repository, request, Limits(minutes=minutes)) as gate:
            passed = gate.run()
    except SeedError as exc:
        raise click.ClickException(str(exc)) from exc
    sys.exit(0 if passed else 1)


def _request(
    quick: bool,
    seed: int | None,
    times: bool,
    arguments: tuple[str, ...],
) -> Request:
    """Raises UnknownRoom."""
    named, options = _split(arguments)
    paths = [each for each in named if "/" in each]
    rooms = [each for each in named if each not in paths]
    files = [str(file) for room in rooms for file in files_of(room)]
    return Request(
        seed=seed,
        quick=quick,
        tests=(*paths, *files),
        options=options,
        times=times,
    )


def _split(arguments: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands before the first option, and the rest."""
    end = next((n for n, each in enumerate(arguments) if each.startswith("-")), len(arguments))
    return arguments[:end], arguments[end:]


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles all tests anew
    main(prog_name="scripts/test")
