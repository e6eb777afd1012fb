"""The product as a server gets it: its wheel, and what is locked to run."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from callcenter.platform.core.settings import ROOT


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder outside the clone with the wheel and an environment of it and requirements.lock.

    Made anew in each run, once for all its workers.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "installation"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            _make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def runtime(installation: Path) -> Path:
    """The folder of programs of the installation."""
    return installation / ".venv" / "bin"


def _make(folder: Path) -> None:
    subprocess.run([ROOT / "scripts" / "wheel", folder], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    environment = folder / ".venv"
    _uv("venv", "--clear", "--python", sys.executable, environment)
    target = ("pip", "install", "--python", environment / "bin" / "python", "--no-deps")
    locked = (*target, "--compile-bytecode", "--require-hashes", "-r", ROOT / "requirements.lock")
    # Set-up has left the packages in uv's cache, unless that was taken away since.
    if not _uv(*locked, "--offline", check=False):
        _uv(*locked)
    _uv(*target, "--compile-bytecode", "--offline", wheel)


def _uv(*arguments: str | Path, check: bool = True) -> bool:
    done = subprocess.run(
        [ROOT / "scripts" / "uv", *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.returncode == 0
