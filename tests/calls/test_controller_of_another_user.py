"""A controller runs as a user who cannot read the keys of recordings, and serves all the same."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from callcenter.commands import check
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.recordings.sealing import keys
from callcenter.telephony.acd.command_bus import CALL_ORDERS
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import connected, has_happened
from tests.calls.processes import Announced, running_controller_program
from tests.polling import until

USER, WORKER = 61111, 61112  # nobody's on any machine
SHUT, SHARED = 0o700, 0o2770  # as docs/operations/systemd/callcenter.tmpfiles makes them
#: Python may lie in a folder that only root can pass, so the command is loaded before; and whoever
#: started it is to hear it.
LOADED = """
import encodings.ascii, encodings.idna, os, callcenter.commands.{command}
from callcenter.cli import main
os.chmod(os.environ["NOTIFY_SOCKET"], 0o666)
"""
BECOME = """
os.setgroups({groups}); os.setgid({user}); os.setuid({user}); os.umask(0o007)
"""
#: Around it: all rights of root go but the one that the worker's unit has. See prctl(2), capset(2).
KEEP = "import ctypes; libc = ctypes.CDLL(None); libc.prctl(8, 1, 0, 0, 0)"
CAP_LEASE = 28
ALONE = f"""
rights = (ctypes.c_uint32 * 6)(*[1 << {CAP_LEASE}] * 2)
assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), rights) == 0
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process of another user"),
]


def as_controller(group: int) -> tuple[str, ...]:
    """The `callcenter` command as the user of the controllers."""
    then = LOADED.format(command="controller") + BECOME.format(user=USER, groups=[group])
    return (sys.executable, "-c", f"{then}main()")


def as_worker(group: int) -> tuple[str, ...]:
    """The `callcenter` command as the user of the keys, in the group of the controllers."""
    then = f"{LOADED.format(command='worker')}callcenter.commands.worker.load_jobs(); {KEEP}"
    then += BECOME.format(user=WORKER, groups=[group, USER]) + ALONE
    return (sys.executable, "-c", f"{then}main()")


def can_read(user: int, file: Path) -> bool:
    done = subprocess.run(
        ("cat", file), user=user, group=user, extra_groups=(), capture_output=True, check=False
    )
    return done.returncode == 0


def user_of(pid: int) -> set[int]:
    return set(psutil.Process(pid).uids())


def capabilities_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("CapPrm:")[2].split()[0], 16)


@pytest.fixture
def opened(disposable: CallCenter) -> Iterator[int]:
    """Folders as systemd's are: sockets are open, keys shut, the spool and journals shared.

    The group that may connect to PostgreSQL.
    """
    settings = disposable.settings
    postgres, redis = settings.var.parent / "own-pg", settings.var.parent / "own-redis.sock"
    shared = (settings.journals, settings.spool)
    of_the_worker = (settings.keys, settings.secrets_folder, settings.recordings)
    for folder in (settings.members, settings.recordings, *shared):
        folder.mkdir(mode=SHUT, parents=True, exist_ok=True)
    before = {each: each.lstat() for each in settings.var.parent.rglob("*") if not each.is_socket()}
    before |= {each: each.stat() for each in (settings.var.parent, redis)}
    for folder in of_the_worker:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, WORKER, WORKER)
    for folder in shared:
        os.chown(folder, USER, USER)
        folder.chmod(SHARED)
    passed = {settings.var.parent: 0o711, settings.var: 0o711, settings.run: 0o711}
    passed |= {settings.members: 0o777, postgres: 0o750, redis: 0o777}
    for path, mode in passed.items():
        path.chmod(mode)
    yield postgres.stat().st_gid
    for path, was in before.items():
        if path.exists() and not path.is_symlink():
            os.chown(path, was.st_uid, was.st_gid)
            path.chmod(stat.S_IMODE(was.st_mode))


def secrets_of_the_switch(settings: Settings) -> dict[str, str]:
    return {
        f"CALLCENTER_SECRET_{name.upper()}": read_secret(settings.secrets_folder, name)
        for name in ("ari", "ami", CALL_ORDERS)
    }


@pytest.mark.asyncio(loop_scope="session")
async def test_a_controller_serves_a_call_and_cannot_read_keys(
    disposable: CallCenter, opened: int
) -> None:
    call_center, number = disposable, "+77020000095"
    (key,) = (call_center.settings.keys / "recordings").glob("*.key")
    assert can_read(0, key)
    assert not can_read(USER, key)
    assert check.may_read_keys(call_center.settings) == []
    also = secrets_of_the_switch(call_center.settings)
    async with (
        running_controller_program(
            call_center.settings, "line-1", program=as_controller(opened), also=also
        ) as line,
        call_center.consultant("201") as consultant,
        call_center.caller(number) as caller,
    ):
        assert user_of(line.pid) == {USER}
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        await leg.hang_up()
        await caller.ended()
        appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    worker = Announced(call_center.settings, "worker", "worker", program=as_worker(opened))
    await worker.start()
    try:

        async def is_sealed() -> bool:
            (recording,) = await call_center.recordings(appeal)
            return recording.state == "stored"

        assert user_of(worker.pid) == {WORKER}
        assert capabilities_of(worker.pid) == 1 << CAP_LEASE
        await until(is_sealed, "the worker has sealed it", 20)
    finally:
        await worker.kill()
    (recording,) = await call_center.recordings(appeal)
    assert recording.sealed_to == keys.read(call_center.settings.keys).public


def test_check_reports_keys_readable_by_the_controllers_user(
    settings: Settings,
) -> None:
    settings.journals.mkdir(mode=SHUT)
    assert "can read 1 of them: `callcenter up` " in check.CHECKS["security"]["keys"](settings)
    os.chown(settings.journals, USER, USER)
    assert "cannot read" in check.CHECKS["security"]["keys"](settings)
