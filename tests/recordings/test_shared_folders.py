"""Worker and pages, as users of their own, share keys and recordings by a group alone.

Folders are as docs/operations/systemd/callcenter.tmpfiles makes them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Nobody's on any machine. The group of the worker is that which has the keys.
WORKER, WEB, CONTROLLER = 61112, 61113, 61111
GROUPS = {WORKER: [WORKER], WEB: [WEB, WORKER], CONTROLLER: [CONTROLLER]}
MODES = {"keys": 0o2750, "keys/recordings": 0o2750, "recordings": 0o2770, "secrets": 0o700}
#: Python may lie in a folder that only root can pass, so all is imported before.
PROGRAM = """
import io, os, sys
from pathlib import Path
import callcenter.platform.core.secrets as secrets
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.sealing import keys
place = Path(sys.argv[1])
store = Objects(place / "recordings")
os.setgroups({groups}); os.setgid({user}); os.setuid({user}); os.umask(0o007)
{act}
"""
MAKE_KEY = 'keys.make(place / "keys")'
READ_KEY = 'keys.read(place / "keys")'
PUT = 'store.put("{name}", io.BytesIO(b"sealed"))'
READ = 'assert b"".join(store.stream("{name}")) == b"sealed"'
REMOVE = 'store.remove("{name}")'
RECORDING, ATTACHMENT = "2026/11/28/a.flac.age", "attachments/b.age"

SHARED_MEMORY = Path("/dev/shm")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become other users")


@pytest.fixture
def place() -> Iterator[Path]:
    """Folders of the worker's, in one that all may pass."""
    place = Path(tempfile.mkdtemp(dir=SHARED_MEMORY))
    place.chmod(0o711)
    for name, mode in MODES.items():
        (place / name).mkdir()
        os.chown(place / name, WORKER, WORKER)
        (place / name).chmod(mode)
    yield place
    shutil.rmtree(place)


def done(place: Path, user: int, act: str, name: str = "") -> bool:
    """Whether this user may do it."""
    program = PROGRAM.format(groups=GROUPS[user], user=user, act=act.format(name=name))
    ran = subprocess.run(
        (sys.executable, "-c", program, place),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0 or "ermission denied" in ran.stderr, ran.stderr
    return ran.returncode == 0


def test_the_pages_open_keys_that_the_worker_made(place: Path) -> None:
    assert done(place, WORKER, MAKE_KEY)
    assert done(place, WORKER, READ_KEY)
    assert done(place, WEB, READ_KEY)
    assert not done(place, CONTROLLER, READ_KEY)
    assert not done(place, WEB, MAKE_KEY)


def test_worker_and_pages_read_and_remove_recordings_of_each_other(place: Path) -> None:
    for user, other, name in ((WORKER, WEB, RECORDING), (WEB, WORKER, ATTACHMENT)):
        assert done(place, user, PUT, name)
        assert done(place, other, READ, name)
        assert not done(place, CONTROLLER, READ, name)
        assert done(place, other, PUT, f"{Path(name).parent}/c.age")
        assert done(place, other, REMOVE, name)


def test_what_the_worker_does_not_share_is_its_own(place: Path) -> None:
    assert done(place, WORKER, 'secrets.make_secret(place / "secrets", "audit")')
    assert not done(place, WEB, 'secrets.read_secret(place / "secrets", "audit")')
