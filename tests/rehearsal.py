"""`make rehearsal`: a site with real calls is lost and restored; shows what came back, and when.

With METHOD=continuous from a base backup and the database's log, which lose nothing of it.

The exit status is 1 when anything is not as docs/operations/backup.md promises. The short form,
with recorded calls and without telephones, is tests/backup/test_restore.py.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import click
from pydantic import SecretStr
from pyrage import x25519

import callcenter.bootstrap.rooms  # noqa: F401 - registers them
from callcenter.appeals.calls import store as appeals
from callcenter.backup.continuity import write_notes
from callcenter.backup.log_archive import newest
from callcenter.backup.place import open_place
from callcenter.demo.demo_run import DemoRun, add_consultant, run_demo
from callcenter.launcher.port_check import NETWORK, with_free_ports
from callcenter.launcher.process_plan import ours, product
from callcenter.launcher.supervisor import ProcessSupervisor, environment
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.storage.engine import temporary_engine, unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import store as recordings
from callcenter.recordings.retention import service as retention
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import check_calls

ARCHIVED_LIMIT = 150  # seconds: of two minutes one is whole


class NotAsPromised(Exception):
    """Something did not come back as it should."""


@dataclass
class Rehearsal:
    """The steps so far, with the seconds that each took."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        took = time.monotonic() - begun
        self.steps.append((name, took))
        click.echo(f"{took:6.1f} s  {name}")


@click.command()
@click.option("--keep", is_flag=True, help="Leave the folder of the site when it ends.")
@click.option("--method", type=click.Choice(["dump", "continuous"]), default="dump")
def main(keep: bool, method: str) -> None:
    """Lose a site with calls, restore it, and check what came back."""
    folder = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))  # sockets want a short path
    try:
        asyncio.run(rehearse(folder, method, Rehearsal()))
    except NotAsPromised as exc:
        click.echo(f"NOT AS PROMISED: {exc}", err=True)
        sys.exit(1)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def rehearse(folder: Path, method: str, rehearsal: Rehearsal) -> None:
    """Raises NotAsPromised, and what the parts raise."""
    key = folder / "offline.key"
    identity = x25519.Identity.generate()
    key.touch(mode=0o600)
    key.write_text(f"{identity}\n")
    settings = _settings(folder, method, str(identity.to_public()))
    with rehearsal.step("a site starts, and serves a call"):
        supervisor = await _start(settings)
        password = await add_consultant(settings)
        before = await _call(settings, password)
    with rehearsal.step("backup"):
        await _run(settings, "backup")
    with rehearsal.step("a call that no backup has, and an erasure"):
        since = await _call(settings, password)
        await _erase(settings, before)
        await _note(settings)
    if settings.archives_log:
        with rehearsal.step("the minute of the database's log ends"):
            await _log_archived(settings, datetime.now(UTC))
    with rehearsal.step("the site is lost, but for Asterisk's log and the recordings"):
        await supervisor.stop()
        _lose(settings, folder)
    with rehearsal.step("restore"):
        await _run(settings, "restore", "--identity", str(key))
    with rehearsal.step("checks"):
        supervisor = await _start(settings)
        try:
            await _check(settings, before, since)
            password = await add_consultant(settings)
            after = await _call(settings, password)
        finally:
            await supervisor.stop()
    _expect(_number(after) > _number(since), "numbers go on after those that were given")
    click.echo(f"{sum(took for _, took in rehearsal.steps):6.1f} s  in all; nothing was lost")


def _settings(folder: Path, method: str, public: str) -> Settings:
    return with_free_ports(
        Settings(_env_file=None),
        var=folder / "var",
        recordings=folder / "recordings",
        backups=SecretStr(str(folder / "backups")),
        backup_method=method,
        recovery_keys=(public,),
        database_url=None,
        redis_url=None,
        operator_networks=(f"{NETWORK}/32",),
        operators={},
    )


async def _start(settings: Settings) -> ProcessSupervisor:
    supervisor = ProcessSupervisor(settings, product, lambda line: None)
    await supervisor.start()
    return supervisor


async def _call(settings: Settings, password: str) -> DemoRun:
    return await run_demo(settings, password, lambda line: None)


def _number(run: DemoRun) -> int:
    assert run.appeal is not None  # run_demo has seen to it
    return int(run.appeal.number)


def _recording(run: DemoRun) -> UUID:
    assert run.recording is not None  # the same
    return run.recording.id


async def _run(settings: Settings, *arguments: str) -> None:
    """Run a command of the site. Raises NotAsPromised when it fails."""
    process = await asyncio.create_subprocess_exec(
        *ours(*arguments),
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    for line in said.decode().splitlines():
        click.echo(f"          {line}")
    _expect(process.returncode == 0, f"callcenter {' '.join(arguments[:2])}")


async def _erase(settings: Settings, run: DemoRun) -> None:
    """Two people have the recording of a call erased."""
    first, second = (
        Actor(User(uuid4(), name, name, Role.HEAD, True, datetime.now(UTC))) for name in "ab"
    )
    async with temporary_engine(settings) as engine:
        request = await retention.request_erasure(
            engine, first, _recording(run), reason="rehearsal", order=None
        )
        await retention.decide_erasure(engine, second, request, approve=True, reason="rehearsal")


async def _note(settings: Settings) -> None:
    """The worker's job of every minute."""
    async with temporary_engine(settings) as engine:
        await write_notes(WorkerResources(settings, engine), datetime.now(UTC))


async def _log_archived(settings: Settings, since: datetime) -> None:
    """Wait until the archiver has stored what was written before. Raises TimeoutError."""
    async with asyncio.timeout(ARCHIVED_LIMIT):
        while (newest(open_place(settings), datetime.now(UTC)) or since) <= since:
            await asyncio.sleep(1)


def _lose(settings: Settings, folder: Path) -> None:
    saved = shutil.move(cel_file_of(settings).parent, folder / "saved")
    prompts = shutil.move(settings.prompts, folder / "prompts")
    shutil.rmtree(settings.var)
    settings.var.mkdir()
    shutil.move(prompts, settings.prompts)  # made again in ten seconds: not what is shown here
    cel_file_of(settings).parent.parent.mkdir(parents=True)
    shutil.move(saved, cel_file_of(settings).parent)


async def _check(settings: Settings, before: DemoRun, since: DemoRun) -> None:
    assert before.appeal is not None
    assert since.appeal is not None
    await _run(settings, "check")
    await _run(settings, "audit", "verify")
    await _run(settings, "recordings", "verify")
    now = datetime.now(UTC)
    async with temporary_engine(settings) as engine:
        found, _ = await check_calls(
            WorkerResources(settings, engine),
            since=now - timedelta(hours=1),
            until=now,
            repair=False,
        )
        _expect(not found, f"no difference to Asterisk's log: {[str(each.why) for each in found]}")
        async with unit_of_work(engine) as connection:
            there = await appeals.find_by_call(connection, before.appeal.call_id or "")
            again = await appeals.find_by_call(connection, since.appeal.call_id or "")
            _expect(there is not None, "the call before the backup is there")
            _expect(again is not None, "the call since is there, or entered again")
            assert there is not None
            assert again is not None
            _expect(there.number == before.appeal.number, "the number of before stays")
            if settings.archives_log:
                _expect(again.number == since.appeal.number, "the call since is not lost at all")
            else:
                _expect(int(again.number) > _number(since), "its number is not given again")
            erased = await recordings.find(connection, _recording(before))
            adopted = await recordings.find(connection, _recording(since))
            _expect(erased is not None and erased.state == "erased", "what was erased stays so")
            _expect(
                adopted is not None and adopted.appeal_id == again.id,
                "the recording since belongs to its call",
            )


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise NotAsPromised(what)


if __name__ == "__main__":
    main()
