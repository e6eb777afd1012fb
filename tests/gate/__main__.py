"""`scripts/test`: the checks, then the tests in their lanes, then what they say of the commit."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.gate.run import Gate, Limits, Request
from tests.rooms import UnknownRoom, files_of

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
@click.option("--all", "choose", flag_value="all", help="Leave nothing out.")
@click.option(
    "--quick",
    "choose",
    flag_value="quick",
    help="A test of each capability, and what needs no server: 8 minutes.",
)
@click.option("--seed", type=int, help="Draw with this seed; without it, the commit's.")
@click.option(
    "--minutes",
    default=75.0,
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
    choose: str | None,
    seed: int | None,
    minutes: float,
    times: bool,
    arguments: tuple[str, ...],
) -> None:
    """Check and test this clone, as CI does.

    Runs every test that is not marked slow, and of the slow ones a sixth that is drawn by a hash
    of the commit, and those of files that were added or changed in the six hours before it.
    A ROOM is one of tests/rooms.toml; its tests are chosen in the same way. Of a PATH, which has
    a slash, everything runs. What follows, from the first OPTION on, goes to pytest.
    """
    repository = Path.cwd()
    try:
        request = _request(repository, choose, seed, times, arguments)
    except UnknownRoom as exc:
        raise click.UsageError(str(exc)) from exc
    # Its path is short for the sake of sockets; nothing in it outlives the run.
    with tempfile.TemporaryDirectory(prefix="g", dir="/tmp", ignore_cleanup_errors=True) as folder:
        gate = Gate(repository, Path(folder), request, Limits(minutes=minutes))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            passed = gate.run()
        except KeyboardInterrupt:
            gate.stop()
            sys.exit(130)
    sys.exit(0 if passed else 1)


def _request(
    repository: Path,
    choose: str | None,
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
        choose=choose or ("all" if paths and not rooms else "usual"),
        seed=seed,
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
