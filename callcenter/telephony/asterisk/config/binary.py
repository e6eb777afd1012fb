"""Find a fit Asterisk on this machine, and build its command lines."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.module_patches import survives_refer
from callcenter.telephony.asterisk.plc_patch import has_native_plc_patch

MINIMUM_VERSION = (
    22,
    7,
    0,
)  #: the first with StasisBroadcast, by which calls are offered to controllers
#: What a version number does not promise: a build may leave these out.
NEEDED_MODULES = ("app_stasis_broadcast.so", "res_cdrel_custom.so", "chan_pjsip.so")


@dataclass(frozen=True)
class AsteriskBinary:
    """An Asterisk that can be run on this machine."""

    command: tuple[str, ...]  #: how to start it, without arguments
    version: tuple[int, int, int]
    modules: Path  #: astmoddir
    data: Path  #: astdatadir: holds `documentation`, without which Asterisk reads no configuration
    takes_refer: bool  #: telephones may request transfers by REFER: none of them crashes it


def find_asterisk(settings: Settings) -> AsteriskBinary:
    """Find the machine's own Asterisk if it is fit, else the one in `settings.asterisk_tree`.

    Raises DependencyUnavailable that says what is wrong with each and what to do.
    """
    faults = []
    for find in (_find_installed, partial(find_in_tree, settings.asterisk_tree)):
        try:
            return find()
        except DependencyUnavailable as exc:
            faults.append(str(exc))
    major, minor, _ = MINIMUM_VERSION
    raise DependencyUnavailable(
        f"no fit Asterisk, {major}.{minor} or newer: {'; '.join(faults)}. "
        "Run scripts/setup, or install one, or point CALLCENTER_ASTERISK_TREE at one"
    )


def configuration(settings: Settings) -> Path:
    """The folder of the files that Asterisk reads."""
    return settings.asterisk_folder.absolute() / "etc"


def asterisk_command(settings: Settings) -> list[str]:
    """The command that starts Asterisk in the foreground. Raises DependencyUnavailable."""
    return [*_command(settings), "-f"]


def cli_command(settings: Settings, command: str) -> list[str]:
    """The command that runs a CLI command in the running Asterisk, and prints the answer.

    It exits with status 1 when no Asterisk of this copy is running. Raises DependencyUnavailable.
    """
    return [*_command(settings), "-rx", command]


def _command(settings: Settings) -> list[str]:
    program = find_asterisk(settings)
    return [*program.command, "-C", str(configuration(settings) / "asterisk.conf")]


def _find_installed() -> AsteriskBinary:
    path = shutil.which("asterisk") or shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise DependencyUnavailable("this machine has none of its own")
    libraries = [Path("/usr/lib"), Path("/usr/lib64"), *Path("/usr/lib").glob("*-linux-gnu*")]
    libraries += [Path("/usr/local/lib"), Path("/usr/local/lib64")]
    datas = (Path("/usr/share/asterisk"), Path("/var/lib/asterisk"))
    return _check((path,), [library / "asterisk" / "modules" for library in libraries], datas)


def find_in_tree(tree: Path) -> AsteriskBinary:
    """Find the private Asterisk in this folder. Raises DependencyUnavailable."""
    loaders = sorted(tree.glob("usr/lib*/ld-linux*.so.*"))
    modules = sorted(tree.glob("usr/lib/*-linux-gnu*/asterisk/modules"))
    if not loaders or not modules:
        raise DependencyUnavailable(f"there is none in {tree}")
    # The tree's own loader and libraries: its Asterisk is built for another Debian than this one.
    library = modules[0].parent.parent
    asterisk = tree / "usr" / "sbin" / "asterisk"
    command = (str(loaders[0]), "--library-path", str(library), str(asterisk))
    return _check(command, modules, (tree / "usr" / "share" / "asterisk",))


def _check(
    command: tuple[str, ...], modules: list[Path], datas: tuple[Path, ...]
) -> AsteriskBinary:
    version = _version(command)
    if version < MINIMUM_VERSION:
        raise DependencyUnavailable(f"{command[-1]} is {'.'.join(map(str, version))}")
    program = Path(command[-1])
    if _has_plc_patch(program, program.stat().st_mtime_ns):
        raise DependencyUnavailable(
            f"{program} drops voice that looks late to it (docs/decisions/0028)"
        )
    folder = next((each for each in modules if (each / "chan_pjsip.so").exists()), None)
    if folder is None:
        raise DependencyUnavailable(f"the modules of {command[-1]} are not found")
    missing = [name for name in NEEDED_MODULES if not (folder / name).exists()]
    if missing:
        raise DependencyUnavailable(f"{folder} has no {', '.join(missing)}")
    data = next((each for each in datas if (each / "documentation").is_dir()), None)
    if data is None:
        raise DependencyUnavailable(
            f"the documentation of {command[-1]} is not found (core-en_US.xml)"
        )
    return AsteriskBinary(command, version, folder, data, survives_refer(folder, version))


@cache
def _has_plc_patch(program: Path, _changed_at: int) -> bool:
    return has_native_plc_patch(program)


@cache
def _version(command: tuple[str, ...]) -> tuple[int, int, int]:
    """Ask for the version, once per process: every command to Asterisk comes through here."""
    try:
        answer = subprocess.run(
            [*command, "-V"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        raise DependencyUnavailable(f"{command[-1]} does not run: {exc}") from exc
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", answer)
    if found is None:
        raise DependencyUnavailable(f"{command[-1]} does not tell its version: {answer.strip()!r}")
    return int(found[1]), int(found[2]), int(found[3] or 0)
