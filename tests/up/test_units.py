"""The units for systemd, as docs/operations/running.md says to copy them."""

import subprocess
from pathlib import Path

from callcenter.settings import ROOT
from callcenter.up.product import ours

UNITS = sorted((ROOT / "docs" / "operations" / "systemd").glob("*.service"))


def value(unit: Path, name: str) -> str:
    (line,) = (line for line in unit.read_text().splitlines() if line.startswith(f"{name}="))
    return line.partition("=")[2]


def test_systemd_understands_each_unit(tmp_path: Path) -> None:
    for unit in UNITS:
        here = unit.read_text().replace("/opt/callcenter/.venv/bin/callcenter", ours()[0])
        (tmp_path / unit.name).write_text(here.replace("/opt/callcenter", str(ROOT)))
    verified = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = [line for line in verified.stderr.splitlines() if "callcenter" in line]
    assert (verified.returncode, told) == (0, [])


def test_each_process_of_ours_has_a_unit_and_is_never_given_up() -> None:
    commands = {value(unit, "ExecStart").split()[1] for unit in UNITS}
    assert commands == {"line", "watchdog", "web", "worker"}
    for unit in UNITS:
        assert (value(unit, "Restart"), value(unit, "StartLimitIntervalSec")) == ("always", "0")
        opens_recordings = value(unit, "ExecStart").split()[1] in ("web", "worker")
        assert (value(unit, "User") == "callcenter-keys") is opens_recordings
