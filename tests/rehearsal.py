"""`make rehearsal`: a site with real calls is lost and restored; shows what came back, and when.

With METHOD=continuous from a base backup and the database's log, which lose nothing of it. With
INSTALLED=1 the site is of somebody who has the wheel and the documents alone: in a folder without a
clone, by the commands that stand in blocks on docs/operations/backup.md.

The exit status is 1 when anything is not as docs/operations/backup.md promises. The short forms,
with recorded calls and without telephones, are tests/backup/test_restore.py and, of an installed
wheel, in tests/launcher/test_runtime_install.py.
"""

import asyncio
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
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
from callcenter.backup.log_archive import newest as newest_of_log
from callcenter.backup.place import newest, open_place
from callcenter.demo.demo_run import DemoRun, add_consultant, run_demo
from callcenter.launcher.port_check import NETWORK, with_free_ports
from callcenter.launcher.process_plan import ours
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.storage.engine import temporary_engine, unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import store as recordings
from callcenter.recordings.retention import service as retention
from callcenter.recordings.sealing.keys import read_identity
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import check_calls
from tests.installation import install
from tests.polling import until

ARCHIVED_LIMIT = 150  # seconds: of two minutes one is whole
START_LIMIT, STOP_LIMIT = 120.0, 60.0  # seconds
PAGE = ROOT / "docs" / "operations" / "backup.md"
BLOCK = re.compile(r"^( *)```\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
START = ".venv/bin/callcenter up"
KEY = "callcenter-recovery.key"
SIGNER = re.compile(r"SHA-256 ([0-9a-f]{64})")
#: Of a server: no program of the clone is found there.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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


@dataclass
class Machine:
    """The machine of a site, which runs `callcenter up`.

    `program` is the command `callcenter`, run in `folder` with `environment`.
    """

    settings: Settings
    program: str
    folder: Path
    environment: Mapping[str, str]
    is_installed: bool = False
    signer: str = ""  #: SHA-256 of the key that signed the newest backup
    up: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start everything. Raises NotAsPromised when it ends, NotInTime."""
        log = self.folder / "up.log"
        with log.open("wb") as output:
            self.up = await asyncio.create_subprocess_exec(
                *(self.program, "up"),
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        up = self.up

        def is_ready() -> bool:
            _expect(up.returncode is None, f"callcenter up: {log.read_text()}")
            return "callcenter is ready\n" in log.read_text()

        await until(is_ready, "callcenter is ready", START_LIMIT)

    async def stop(self) -> None:
        """Stop everything, if it runs."""
        if self.up is not None and self.up.returncode is None:
            self.up.terminate()
            async with asyncio.timeout(STOP_LIMIT):
                await self.up.wait()

    async def run(self, *arguments: str) -> None:
        """Run a command of the site. Raises NotAsPromised when it fails."""
        await self.shell(shlex.join((self.program, *arguments)))

    async def shell(self, command: str) -> None:
        """Run a line of a shell. Raises NotAsPromised when it fails."""
        click.echo(f"        $ {command}")
        process = await asyncio.create_subprocess_exec(
            *("sh", "-euc", command),
            cwd=self.folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode()
        for line in output.splitlines():
            click.echo(f"          {line}")
        _expect(process.returncode == 0, command)
        if signed := SIGNER.search(output):
            self.signer = signed[1]


@click.command()
@click.option("--keep", is_flag=True, help="Leave the folder of the site when it ends.")
@click.option("--method", type=click.Choice(["dump", "continuous"]), default="dump")
@click.option(
    "--installed",
    is_flag=True,
    help="From the wheel, by the commands of the page, without a clone.",
)
def main(keep: bool, method: str, installed: bool) -> None:
    """Lose a site with calls, restore it, and check what came back."""
    folder = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))  # sockets want a short path
    try:
        asyncio.run(rehearse(folder, method, installed, Rehearsal()))
    except NotAsPromised as exc:
        click.echo(f"NOT AS PROMISED: {exc}", err=True)
        sys.exit(1)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def rehearse(folder: Path, method: str, installed: bool, rehearsal: Rehearsal) -> None:
    """Raises NotAsPromised, and what the parts raise."""
    if installed:
        with rehearsal.step("the wheel is installed, and a key made"):
            machine = await _install(folder, method)
    else:
        (folder / KEY).touch(mode=0o600)
        (folder / KEY).write_text(f"{x25519.Identity.generate()}\n")
        settings = _settings(folder, method, folder / KEY)
        machine = Machine(settings, ours()[0], folder, environment(settings))
    try:
        await _lose_and_restore(machine, folder / KEY, rehearsal)
    finally:
        await machine.stop()
    click.echo(f"{sum(took for _, took in rehearsal.steps):6.1f} s  in all; nothing was lost")


async def _lose_and_restore(machine: Machine, key: Path, rehearsal: Rehearsal) -> None:
    settings = machine.settings
    with rehearsal.step("a site starts, and serves a call"):
        await machine.start()
        password = await add_consultant(settings)
        before = await _call(settings, password)
    with rehearsal.step("backup"):
        if machine.is_installed:
            for command in commands_of("Once")[1:]:
                await machine.shell(command.replace(f"/media/{KEY}", str(key)))
        else:
            await machine.run("backup")
    with rehearsal.step("a call that no backup has, and an erasure"):
        since = await _call(settings, password)
        await _erase(settings, before)
        await _note(settings)
    if settings.archives_log:
        with rehearsal.step("the minute of the database's log ends"):
            await _log_archived(settings, datetime.now(UTC))
    with rehearsal.step("the site is lost, but for Asterisk's log and the recordings"):
        await machine.stop()
        _lose(machine)
    if machine.is_installed:
        with rehearsal.step("restore, start and checks, by the page"):
            await _follow_page(machine, key)
    else:
        with rehearsal.step("restore"):
            await machine.run("restore", "--identity", str(key), "--signed-by", machine.signer)
        with rehearsal.step("start and checks"):
            await machine.start()
            for arguments in ("check", "audit verify", "recordings verify"):
                await machine.run(*arguments.split())
    with rehearsal.step("a look at what came back, and a call"):
        await _check(settings, before, since)
        password = await add_consultant(settings)
        after = await _call(settings, password)
    _expect(_number(after) > _number(since), "numbers go on after those that were given")


def commands_of(heading: str) -> list[str]:
    """The commands that stand in blocks below this heading of the page."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line.strip() for _, block in BLOCK.findall(text) for line in block.splitlines()]


async def _follow_page(machine: Machine, key: Path) -> None:
    """Restore and check by the page. Raises NotAsPromised when a command fails."""
    archive = open_place(machine.settings)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    placeholders = {
        f"/media/{KEY}": str(key),
        "NAME": f"{machine.settings.backup_store}/{newest(archive, None)}",
        "SHA-256": machine.signer,
        "DAY": f"{yesterday:%Y-%m-%d}",
    }
    commands = commands_of("Restore")
    _expect(START in commands, f"the page says {START}")
    for command in commands:
        if command == START:
            await machine.start()
            continue
        for placeholder, value in placeholders.items():
            command = command.replace(placeholder, value)
        await machine.shell(command)


def _settings(folder: Path, method: str, key: Path, **changed: object) -> Settings:
    return with_free_ports(
        Settings(_env_file=None),
        var=folder / "var",
        recordings=folder / "recordings",
        backups=SecretStr(str(folder / "backups")),
        backup_method=method,
        recovery_keys=(str(read_identity(key).to_public()),),
        database_url=None,
        redis_url=None,
        operator_networks=(f"{NETWORK}/32",),
        operators={},
        **changed,
    )


async def _install(folder: Path, method: str) -> Machine:
    """A folder with the wheel, its environment, a copy of Asterisk's tree and `callcenter.env`."""
    site = folder / "site"
    site.mkdir()
    await asyncio.to_thread(install, site)
    own = Settings(_env_file=None)
    places = {name: site / "var" / getattr(own, name).name for name in ("asterisk_tree", "voices")}
    surroundings = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
    offline = Machine(own, "", folder, surroundings)
    if own.asterisk_tree.exists():
        places["voices"].parent.mkdir()
        tree = shlex.join((f"{own.asterisk_tree}/.", str(places["asterisk_tree"])))
        await offline.shell(f"cp -a {tree}")  # there are devices in it
    await offline.shell(commands_of("Once")[0])
    settings = _settings(site, method, folder / KEY, **places)
    _write_settings(settings, site / "callcenter.env", besides={"var", "recordings", *places})
    return Machine(settings, ".venv/bin/callcenter", site, surroundings, is_installed=True)


def _write_settings(settings: Settings, file: Path, besides: set[str]) -> None:
    """Write what is not as by default, but for what follows from the folder of the product.

    The settings of whoever runs this are not the default.
    """
    own, values = Settings(_env_file=None, _env_prefix="UNSET_"), environment(settings)
    file.touch(mode=0o600)
    with file.open("w", encoding="utf-8") as lines:
        for name in Settings.model_fields.keys() - besides:
            if getattr(settings, name) != getattr(own, name):
                variable = f"CALLCENTER_{name.upper()}"
                lines.write(f"{variable}={shlex.quote(values.get(variable, 'none'))}\n")


async def _call(settings: Settings, password: str) -> DemoRun:
    return await run_demo(settings, password, lambda line: None)


def _number(run: DemoRun) -> int:
    assert run.appeal is not None  # run_demo has seen to it
    return int(run.appeal.number)


def _recording(run: DemoRun) -> UUID:
    assert run.recording is not None  # the same
    return run.recording.id


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
        while (newest_of_log(open_place(settings), datetime.now(UTC)) or since) <= since:
            await asyncio.sleep(1)


def _lose(machine: Machine) -> None:
    """Leave nothing but Asterisk's log, the recordings, and what is installed or made anew."""
    settings = machine.settings
    left = [cel_file_of(settings).parent, settings.prompts]
    if settings.asterisk_tree.is_relative_to(settings.var):
        left.append(settings.asterisk_tree)
    saved = settings.var.with_name("saved")
    saved.mkdir()
    for number, path in enumerate(left):
        shutil.move(path, saved / str(number))
    shutil.rmtree(settings.var)
    for number, path in enumerate(left):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(saved / str(number), path)
    (machine.folder / "callcenter.env").unlink(missing_ok=True)


async def _check(settings: Settings, before: DemoRun, since: DemoRun) -> None:
    assert before.appeal is not None
    assert since.appeal is not None
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
