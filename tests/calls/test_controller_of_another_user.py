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
from callcenter.line.outcomes import Moment, Outcome
from callcenter.recordings import keys
from callcenter.secrets import read_secret
from callcenter.settings import Settings
from tests.calls.fragile import connected, has_happened
from tests.calls.house import House, until
from tests.calls.parts import Announced, running_line

USER, KEEPER = 61111, 61112  # nobody's on any machine
#: As the unit of the worker gives it, see docs/operations/running.md.
CAPABILITIES = "+dac_override,+lease,+chown"
AS_KEEPER = (
    *("setpriv", "--reuid", str(KEEPER), "--regid", str(KEEPER), "--clear-groups"),
    *("--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES),
)
SHUT = 0o700

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process of another user"),
    pytest.mark.alone,
]


def become(group: int) -> tuple[str, ...]:
    """The `callcenter` command as that user. It is loaded before, for Python may lie in a folder
    that only root can pass; whoever started it is to hear it."""
    then = (
        "import encodings.ascii, encodings.idna, os, callcenter.commands.line\n"
        "from callcenter.cli import main;"
        "os.chmod(os.environ['NOTIFY_SOCKET'], 0o666);"
        f"os.setgroups([{group}]); os.setgid({USER}); os.setuid({USER}); main()"
    )
    return (sys.executable, "-c", then)


def can_read(user: int, file: Path) -> bool:
    done = subprocess.run(
        ("cat", file), user=user, group=user, extra_groups=(), capture_output=True, check=False
    )
    return done.returncode == 0


def user_of(pid: int) -> set[int]:
    return set(psutil.Process(pid).uids())


@pytest.fixture
def opened(fragile: House) -> Iterator[tuple[str, ...]]:
    """Sockets, settings and the journal are that user's to use, the keys are not."""
    settings = fragile.settings
    postgres, redis = settings.var.parent / "own-pg", settings.var.parent / "own-redis.sock"
    passed = {settings.var.parent: 0o711, settings.var: 0o711, postgres: 0o750, redis: 0o777}
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in passed}
    settings.journals.mkdir(mode=SHUT, exist_ok=True)
    owner = settings.journals.stat()
    os.chown(settings.journals, USER, USER)
    keys_and_files = [settings.keys, *settings.keys.rglob("*")]
    for file in keys_and_files:
        os.chown(file, KEEPER, KEEPER)
    for path, mode in passed.items():
        path.chmod(mode)
    yield become(postgres.stat().st_gid)
    for path, mode in modes.items():
        path.chmod(mode)
    os.chown(settings.journals, owner.st_uid, owner.st_gid)
    for file in keys_and_files:
        os.chown(file, owner.st_uid, owner.st_gid)


def secrets_of_the_switch(settings: Settings) -> dict[str, str]:
    return {
        f"CALLCENTER_SECRET_{name.upper()}": read_secret(settings.secrets_folder, name)
        for name in ("ari", "ami")
    }


@pytest.mark.asyncio(loop_scope="session")
async def test_it_serves_a_call_that_the_worker_seals_and_can_read_no_key(
    fragile: House, opened: tuple[str, ...]
) -> None:
    house, number = fragile, "+77020000095"
    (key,) = (house.settings.keys / "recordings").glob("*.key")
    assert can_read(0, key)
    assert not can_read(USER, key)
    assert check.may_read_keys(house.settings) == []
    also = secrets_of_the_switch(house.settings)
    async with (
        running_line(house.settings, "line-1", program=opened, also=also) as line,
        house.consultant("201") as consultant,
        house.caller(number) as caller,
    ):
        assert user_of(line.pid) == {USER}
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        await leg.hang_up()
        await caller.ended()
        appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    worker = Announced(house.settings, "worker", "worker", before=AS_KEEPER)
    await worker.start()
    try:

        async def is_sealed() -> bool:
            (recording,) = await house.recordings(appeal)
            return recording.state == "stored"

        assert user_of(worker.pid) == {KEEPER}
        await until(is_sealed, "the worker has sealed it", 20)
    finally:
        await worker.kill()
    (recording,) = await house.recordings(appeal)
    assert recording.sealed_to == keys.read(house.settings.keys).public


def test_check_says_that_controllers_of_the_same_user_can_read_the_keys(
    settings: Settings,
) -> None:
    settings.journals.mkdir(mode=SHUT)
    assert "can read 1 of them: `callcenter up` " in check.CHECKS["keys"](settings)
    os.chown(settings.journals, USER, USER)
    assert "cannot read" in check.CHECKS["keys"](settings)
