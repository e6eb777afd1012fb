"""The units for systemd, as docs/operations/running.md says to copy them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from callcenter.launcher.process_plan import ours
from callcenter.launcher.process_secrets import secrets_of
from callcenter.platform.core.settings import ROOT, Settings

FOLDER = ROOT / "docs" / "operations" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
SOCKET = FOLDER / "callcenter-hep.socket"
TIMER = FOLDER / "callcenter-backup.timer"
#: What is run at its time and ends.
TASKS = [TIMER.with_suffix(".service")]
ASTERISK = FOLDER / "callcenter-asterisk.service"
OURS = [unit for unit in UNITS if unit not in (*TASKS, ASTERISK)]
#: systemd adds what it has to every unit of these names.
CONFINEMENT = FOLDER / "callcenter-.service.d"
SWITCH, KEYS, WEB = "callcenter", "callcenter-keys", "callcenter-web"
PORTAL = "callcenter-portal"
USERS = {"worker": KEYS, "archiver": KEYS, "web": WEB, "portal": PORTAL}
#: Files of settings besides the common one.
SETTINGS = {
    "callcenter-asterisk": set(),
    "callcenter-controller@": {"switch"},
    "callcenter-watchdog": {"watchdog"},
    "callcenter-web": {"web"},
    "callcenter-portal": {"portal"},
    "callcenter-worker": {"worker"},
    "callcenter-backup": {"worker", "owner"},
    "callcenter-archiver": {"worker", "owner"},
}
EXPOSURE = 40  # of 100
FOLDERS = re.compile(r"^d (\S+) (\d+) (\S+) \S+$", re.MULTILINE)


def values(unit: Path, name: str) -> list[str]:
    lines = (line.partition("=") for line in unit.read_text().splitlines())
    return [value for key, _, value in lines if key == name]


def value(unit: Path, name: str) -> str:
    (found,) = values(unit, name)
    return found


def words(unit: Path, name: str) -> set[str]:
    return set(" ".join(values(unit, name)).split())


def test_systemd_understands_each_unit(tmp_path: Path) -> None:
    shutil.copytree(CONFINEMENT, tmp_path / CONFINEMENT.name)
    for unit in (*UNITS, SOCKET, TIMER):
        here = unit.read_text().replace("/opt/callcenter/.venv/bin/callcenter", ours()[0])
        here = here.replace("/usr/sbin/asterisk", "/bin/true")
        (tmp_path / unit.name).write_text(here.replace("/opt/callcenter", str(ROOT)))
    verified = subprocess.run(
        (
            "systemd-analyze",
            "verify",
            "--man=no",
            *sorted(filter(Path.is_file, tmp_path.iterdir())),
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    reported = [line for line in verified.stderr.splitlines() if "callcenter" in line]
    assert (verified.returncode, reported) == (0, [])


def test_each_process_has_a_unit_that_never_gives_up() -> None:
    commands = {value(unit, "ExecStart").split()[1] for unit in OURS}
    assert commands == {"controller", "watchdog", "web", "portal", "worker", "archiver"}
    for unit in (*OURS, ASTERISK):
        assert (value(unit, "Restart"), value(unit, "StartLimitIntervalSec")) == ("always", "0")
        assert value(unit, "User") == USERS.get(value(unit, "ExecStart").split()[1], SWITCH)
    # More than systemd lets a process open at first (1024): the pages have connections.
    [conf] = CONFINEMENT.iterdir()
    assert int(value(conf, "LimitNOFILE")) > 1024


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_each_unit_exposes_little(unit: Path) -> None:
    """14 or 15 of 100 by systemd 257; 63 to 88 without the confinement."""
    analyzed = subprocess.run(
        ("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert analyzed.returncode == 0, analyzed.stdout + analyzed.stderr


def test_no_unit_overrides_the_owners_of_files() -> None:
    capabilities = {unit.stem: words(unit, "CapabilityBoundingSet") for unit in UNITS}
    assert capabilities.pop("callcenter-worker") == {"CAP_LEASE"}
    assert set().union(*capabilities.values()) == set()
    [conf] = CONFINEMENT.iterdir()
    assert value(conf, "ProtectSystem") == "strict"


def test_who_parses_sip_sees_no_settings_keys_or_recordings() -> None:
    """Each domain of trust has its own file of settings, and what is shut to the other's."""
    folders = {f"-/opt/callcenter/var/{name}" for name in ("keys", "secrets", "audit", "backup")}
    for unit in UNITS:
        files = {Path(each).stem for each in values(unit, "EnvironmentFile")}
        assert files - {"common"} == SETTINGS[unit.stem]
        if value(unit, "User") in (SWITCH, PORTAL):
            assert words(unit, "InaccessiblePaths") >= {*folders, "-/opt/callcenter/recordings"}


def test_the_portal_has_its_files_of_settings_and_no_other() -> None:
    """One that was left behind has the owner's URL, if upgrading stopped halfway."""
    unit = FOLDER / "callcenter-portal.service"
    assert value(unit, "ExecStart").split()[1:] == ["portal", "--given"]
    assert "-/opt/callcenter/callcenter.env" in words(unit, "InaccessiblePaths")


def test_a_unit_sees_no_secret_of_others() -> None:
    """All are made in one folder; the pages get theirs by their file of settings."""
    folder = "-/opt/callcenter/var/secrets"
    everybody = {
        each
        for name in ("line-1", "watchdog", "web", "portal", "worker")
        for each in secrets_of(name)
    }
    for name in ("worker", "archiver"):
        shut = words(FOLDER / f"callcenter-{name}.service", "InaccessiblePaths")
        others = {f"{folder}/{each}" for each in everybody - {*secrets_of(name)}}
        assert {each for each in shut if each.startswith(folder)} == others
    for name in ("web", "portal"):
        assert folder in words(FOLDER / f"callcenter-{name}.service", "InaccessiblePaths")


def test_what_a_unit_writes_is_made_for_its_user() -> None:
    tmpfiles = (FOLDER / "callcenter.tmpfiles").read_text()
    made = {path: (mode, owner) for path, mode, owner in FOLDERS.findall(tmpfiles)}
    for unit in UNITS:
        groups = {value(unit, "User"), *values(unit, "SupplementaryGroups")}
        for folder in words(unit, "ReadWritePaths"):
            mode, owner = made[folder]
            assert owner == value(unit, "User") or (mode == "2770" and owner in groups)


def test_a_backup_is_made_every_night() -> None:
    [unit] = TASKS
    assert value(unit, "ExecStart").split()[1] == "backup"
    assert (value(unit, "Type"), value(unit, "User")) == ("oneshot", KEYS)
    assert value(TIMER, "Persistent") == "true"


def test_systemd_holds_the_port_that_asterisk_tells_sip_to() -> None:
    worker = FOLDER / "callcenter-worker.service"
    port = Settings.model_fields["hep_port"].default
    assert value(SOCKET, "ListenDatagram") == f"127.0.0.1:{port}"
    assert value(SOCKET, "Service") == worker.name
    assert value(worker, "Requires") == SOCKET.name
    assert value(worker, "Environment") == "CALLCENTER_HEP_SOCKET=3"
