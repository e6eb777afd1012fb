"""The product as a server gets it: its wheel, and what is locked to run."""

import fcntl
from pathlib import Path

import pytest

from tests.installation import install


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
            install(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def runtime(installation: Path) -> Path:
    """The folder of programs of the installation."""
    return installation / ".venv" / "bin"
