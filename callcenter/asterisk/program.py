"""Which Asterisk we run, and how it is started and spoken to on the command line."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from callcenter.asterisk.latecomers import drops_latecomers
from callcenter.errors import NotReady
from callcenter.settings import Settings

OLDEST = (22, 7, 0)  #: the first with StasisBroadcast, by which calls are offered to controllers
#: What a version number does not promise: a build may leave these out.
NEEDED_MODULES = ("app_stasis_broadcast.so", "res_cdrel_custom.so", "chan_pjsip.so")


@dataclass(frozen=True)
class Program:
    """An Asterisk that can be run on this machine."""

    command: tuple[str, ...]  #: how to start it, without arguments
    version: tuple[int, int, int]
    modules: Path  #: astmoddir
    data: Path  #: astdatadir: holds `documentation`, without which Asterisk reads no configuration


def find_asterisk(settings: Settings) -> Program:
    """The machine's own Asterisk if it is fit, else the one in `settings.asterisk_tree`.

    Raises NotReady that says what is wrong with each and what to do.
    """
    faults = []
    for find in (_own, partial(_in_tree, settings.asterisk_tree)):
        try:
            return find()
        except NotReady as exc:
            faults.append(str(exc))
    raise NotReady(
        f"no fit Asterisk, {OLDEST[0]}.{OLDEST[1]} or newer: {'; '.join(faults)}. "
        "Run scripts/setup, or install one, or point CALLCENTER_ASTERISK_TREE at one"
    )


def configuration(settings: Settings) -> Path:
    """The folder of the files that Asterisk reads."""
    return settings.asterisk_folder.absolute() / "etc"


def asterisk_command(settings: Settings) -> list[str]:
    """Starts Asterisk in the foreground, with our configuration. Raises NotReady."""
    return [*_command(settings), "-f"]


def cli_command(settings: Settings, command: str) -> list[str]:
    """Runs one command in the running Asterisk and prints what it answers. Raises NotReady.

    Exits with status 1 when no Asterisk of this copy is running.
    """
    return [*_command(settings), "-rx", command]


def _command(settings: Settings) -> list[str]:
    program = find_asterisk(settings)
    return [*program.command, "-C", str(configuration(settings) / "asterisk.conf")]


def _own() -> Program:
    path = shutil.which("asterisk") or shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotReady("this machine has none of its own")
    libraries = [Path("/usr/lib"), Path("/usr/lib64"), *Path("/usr/lib").glob("*-linux-gnu*")]
    libraries += [Path("/usr/local/lib"), Path("/usr/local/lib64")]
    datas = (Path("/usr/share/asterisk"), Path("/var/lib/asterisk"))
    return _checked((path,), [library / "asterisk" / "modules" for library in libraries], datas)


def _in_tree(tree: Path) -> Program:
    loaders = sorted(tree.glob("usr/lib*/ld-linux*.so.*"))
    modules = sorted(tree.glob("usr/lib/*-linux-gnu*/asterisk/modules"))
    if not loaders or not modules:
        raise NotReady(f"there is none in {tree}")
    # The tree's own loader and libraries: its Asterisk is built for another Debian than this one.
    library = modules[0].parent.parent
    asterisk = tree / "usr" / "sbin" / "asterisk"
    command = (str(loaders[0]), "--library-path", str(library), str(asterisk))
    return _checked(command, modules, (tree / "usr" / "share" / "asterisk",))


def _checked(command: tuple[str, ...], modules: list[Path], datas: tuple[Path, ...]) -> Program:
    version = _version(command)
    if version < OLDEST:
        raise NotReady(f"{command[-1]} is {'.'.join(map(str, version))}")
    program = Path(command[-1])
    if _drops_latecomers(program, program.stat().st_mtime_ns):
        raise NotReady(f"{program} drops voice that looks late to it (docs/decisions/0029)")
    folder = next((each for each in modules if (each / "chan_pjsip.so").exists()), None)
    if folder is None:
        raise NotReady(f"the modules of {command[-1]} are not found")
    missing = [name for name in NEEDED_MODULES if not (folder / name).exists()]
    if missing:
        raise NotReady(f"{folder} has no {', '.join(missing)}")
    data = next((each for each in datas if (each / "documentation").is_dir()), None)
    if data is None:
        raise NotReady(f"the documentation of {command[-1]} is not found (core-en_US.xml)")
    return Program(command, version, folder, data)


@cache
def _drops_latecomers(program: Path, _changed_at: int) -> bool:
    return drops_latecomers(program)


@cache
def _version(command: tuple[str, ...]) -> tuple[int, int, int]:
    """Asked once in the life of a process: every command to Asterisk comes through here."""
    try:
        answer = subprocess.run(
            [*command, "-V"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        raise NotReady(f"{command[-1]} does not run: {exc}") from exc
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", answer)
    if found is None:
        raise NotReady(f"{command[-1]} does not tell its version: {answer.strip()!r}")
    return int(found[1]), int(found[2]), int(found[3] or 0)
