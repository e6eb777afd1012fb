"""Replace the private Asterisk by a newer one, at a moment without calls."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import cli_command, find_in_tree
from callcenter.telephony.asterisk.config.private_tree import packages, stamp
from callcenter.telephony.asterisk.open_files import process_of_asterisk

BOOT_TIMEOUT = 60.0  # seconds from the end of the former Asterisk to the newer one's calls
CLI_TIMEOUT = 20.0  # seconds
POLL_INTERVAL = 0.2  # seconds
REPORT_INTERVAL = 10.0  # seconds between two lines about the calls that are waited for


def replace(
    settings: Settings,
    newer: Path,
    *,
    within: float,
    render: Callable[[], None],
    say: Callable[[str], None],
) -> str:
    """Put `newer` in the place of `settings.asterisk_tree`; returns what was done. Blocks.

    Where Asterisk runs from there, it is ended at the first moment without a call `within` seconds
    and started by what started it, with the configuration that `render` writes. Calls come in until
    then and nobody is refused. Raises DependencyUnavailable when `newer` is not fit;
    OperationFailed when there is no such moment, or it is not back in time: the former is in its
    place then. Nothing is left of the one that is not used.
    """
    tree = settings.asterisk_tree
    asterisk = find_in_tree(newer)
    before, after = packages(tree), packages(newer)
    if before == after:
        stamp(tree).touch()
        shutil.rmtree(newer)
        return f"Asterisk {before['asterisk']} is the newest, and so are its libraries"
    changed = sum(before.get(name) != version for name, version in after.items())
    words = f"{changed} packages are newer, Asterisk is {'.'.join(map(str, asterisk.version))}"
    with _exchanged(tree, newer):
        running = _pid(settings, tree)
        if running is not None:
            render()
            _end_without_calls(settings, running, within, say)
            _wait_until_back(settings, tree, running)
            words += ", and serves"
    return words


@contextmanager
def _exchanged(tree: Path, newer: Path) -> Iterator[None]:
    """Have the newer tree in its place; the former one again when that fails.

    An Asterisk that runs keeps the files that it has opened.
    """
    former = tree.with_name(f"{tree.name}.former")
    if former.exists():
        shutil.rmtree(former)
    tree.rename(former)
    newer.rename(tree)
    try:
        yield
    except BaseException:
        tree.rename(newer)
        former.rename(tree)
        shutil.rmtree(newer)
        raise
    shutil.rmtree(former)


def _pid(settings: Settings, tree: Path) -> int | None:
    """The process of the Asterisk of this copy, if it runs from this tree."""
    try:
        process = process_of_asterisk(settings)
        arguments = (process / "cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return int(process.name) if bytes(tree / "usr" / "sbin" / "asterisk") in arguments else None


def _end_without_calls(
    settings: Settings, pid: int, within: float, say: Callable[[str], None]
) -> None:
    """End it at the first moment without a call. Raises OperationFailed: it goes on."""
    deadline, report_at = time.monotonic() + within, time.monotonic()
    # Ends when Asterisk does, or gives up.
    waiting = subprocess.Popen(
        cli_command(settings, "core stop when convenient"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while _pid(settings, settings.asterisk_tree) == pid:
            if waiting.poll():
                raise OperationFailed("the Asterisk that runs takes no commands of this user")
            now = time.monotonic()
            if now >= deadline:
                raise OperationFailed(
                    f"there was no moment without a call in {within / 60:.0f} minutes, so nothing "
                    "has changed: repeat it at a quieter hour, or with more time (--within)"
                )
            if now >= report_at:
                report_at = now + REPORT_INTERVAL
                say(f"waiting for a moment without a call: {_calls(settings)}")
            time.sleep(POLL_INTERVAL)
    except BaseException:
        _cli(settings, "core abort shutdown")
        raise
    finally:
        waiting.kill()
        waiting.wait()


def _wait_until_back(settings: Settings, tree: Path, former: int) -> None:
    """Wait until another process of Asterisk serves. Raises OperationFailed."""
    deadline = time.monotonic() + BOOT_TIMEOUT
    while time.monotonic() < deadline:
        is_new = _pid(settings, tree) not in (None, former)
        if is_new and _cli(settings, "core waitfullybooted") is not None:
            return
        time.sleep(POLL_INTERVAL)
    raise OperationFailed(
        f"no newer Asterisk serves {BOOT_TIMEOUT:.0f} s after the former ended, so that is in its "
        "place again: whatever started it must start it now, and its log says what was wrong"
    )


def _calls(settings: Settings) -> str:
    found = re.search(r"^\d+ active channels?", _cli(settings, "core show channels count") or "")
    return found[0] if found else "Asterisk does not say how many there are"


def _cli(settings: Settings, command: str) -> str | None:
    """The answer of the running Asterisk to a command; None when there is none."""
    try:
        done = subprocess.run(
            cli_command(settings, command), capture_output=True, text=True, timeout=CLI_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None
