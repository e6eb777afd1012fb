"""A backup holds what a restore needs, for the key that is kept elsewhere alone."""

import asyncio
import errno
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import psutil
import pyrage
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from pyrage import x25519
from sqlalchemy import text

from callcenter import cli
from callcenter.backup import archive, archive_writer
from callcenter.backup.archive import DamagedBackup, Member, WrongIdentity
from callcenter.backup.archive_writer import write_archive
from callcenter.backup.continuity import NumberMark
from callcenter.backup.manifest import Manifest
from callcenter.backup.place import StoredBackup, list_backups, open_place
from callcenter.backup.service import back_up
from callcenter.backup.site_files import settings_members
from callcenter.backup.watch import BackupLate, look_at_backups
from callcenter.cli import callcenter
from callcenter.launcher.postgres import programs
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.sealing.keys import read_identity, recipient
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests import fork_server
from tests.backup.conftest import public_of
from tests.recordings.test_sealing_worker import keep, recorded, row_of
from tests.rehearsal import commands_of
from tests.s3 import S3Server
from tests.services import CALLCENTER

OPERATOR = Actor(None, command="operator")


async def made(tools: WorkerResources, *, with_store: bool = False) -> tuple[Manifest, list[str]]:
    """A backup, and what was said meanwhile."""
    place, said = open_place(tools.settings), list[str]()
    manifest = await back_up(
        tools.settings, tools.engine, place, OPERATOR, with_store=with_store, say=said.append
    )
    return manifest, said


def plain(tools: WorkerResources, name: str, key: Path) -> dict[str, bytes]:
    """The files in an archive, opened as anybody can: with age and tar."""
    sealed = b"".join(open_place(tools.settings).stream(name))
    opened = pyrage.decrypt(sealed, [read_identity(key)])
    with tarfile.open(fileobj=io.BytesIO(opened)) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]


def run(command: list[str], given: bytes, folder: Path) -> bytes:
    return subprocess.run(command, input=given, cwd=folder, capture_output=True, check=True).stdout


async def test_a_backup_holds_all_that_a_restore_needs(
    tools: WorkerResources, offline_key: Path, tmp_path: Path
) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    cel_log = cel_file_of(tools.settings)
    cel_log.parent.mkdir(parents=True)
    cel_log.write_bytes(b'{"line": 1}\n')
    manifest, said = await made(tools)
    files = plain(tools, manifest.name, offline_key)
    row = await row_of(tools, recording_id)
    assert [json.loads(each) for each in files["store.jsonl"].splitlines()] == [
        {"name": row.store_name, "bytes": row.bytes, "sha256": row.sha256}
    ]
    assert Manifest.parse(files["manifest.json"]) == manifest
    assert (manifest.store.objects, manifest.store.recordings) == (1, 1)
    assert files["ledger/ledger.jsonl"] == cel_log.read_bytes()
    for folder, prefix in (
        (tools.settings.secrets_folder, "secrets"),
        (tools.settings.keys, "keys"),
    ):
        for file in filter(Path.is_file, folder.rglob("*")):
            assert files[f"{prefix}/{file.relative_to(folder)}"] == file.read_bytes()
    dump = b"".join(content for name, content in files.items() if name.startswith("database/"))
    contents = run([str(programs() / "pg_restore"), "--list"], dump, tmp_path)
    assert b"TABLE DATA public recording" in contents
    assert said[-2] == "reading it back"
    # It is checked by whoever has coreutils.
    for name, content in files.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)
    assert b"FAILED" not in run(["sha256sum", "-c", "SHA256SUMS"], b"", tmp_path / "out")


def test_the_settings_of_all_units_are_in_it(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "switch.env").write_text("CALLCENTER_SECRET_ARI=1\n")
    (tmp_path / "worker.env").write_text("CALLCENTER_SECRET_AMI=2\n")
    members = settings_members(settings, tmp_path)
    files = {each.name: b"".join(each.content) for each in members}
    assert files["settings/switch.env"] == b"CALLCENTER_SECRET_ARI=1\n"
    assert files["settings/worker.env"] == b"CALLCENTER_SECRET_AMI=2\n"


def test_the_page_brings_the_settings_of_all_units_back(
    tmp_path: Path, settings: Settings, offline_key: Path
) -> None:
    units, there = tmp_path / "units", tmp_path / "there"
    for each in (units, there):
        each.mkdir()
    (units / "switch.env").write_text("CALLCENTER_SECRET_ARI=1\n")
    with (tmp_path / "backup").open("wb") as file:
        key, signer = recipient(public_of(offline_key)), Ed25519PrivateKey.generate()
        archive.encrypt(settings_members(settings, units), file, [key], signer)
    command = commands_of("Restore")[0].replace("/media/callcenter-recovery.key", str(offline_key))
    run(["sh", "-euc", command.replace("NAME", str(tmp_path / "backup"))], b"", there)
    assert (there / "switch.env").read_text() == "CALLCENTER_SECRET_ARI=1\n"
    assert {each.name for each in there.iterdir()} <= {"switch.env", "callcenter.env"}


async def test_only_the_key_that_is_elsewhere_opens_it(
    tools: WorkerResources, tmp_path: Path
) -> None:
    manifest, _ = await made(tools)
    [file] = (tmp_path / "backups").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    own = read_identity(next((tools.settings.keys / "recordings").iterdir()))
    with (
        pytest.raises(WrongIdentity),
        archive.decrypted(open_place(tools.settings), manifest.name, [own]),
    ):
        pass


async def test_without_such_a_key_there_is_no_backup(tools: WorkerResources) -> None:
    settings = tools.settings.model_copy(update={"recovery_keys": ()})
    with pytest.raises(InvalidRequest, match="CALLCENTER_RECOVERY_KEYS"):
        await made(WorkerResources(settings, tools.engine))


async def test_the_objects_themselves_are_in_it_on_request(
    tools: WorkerResources, offline_key: Path
) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    manifest, _ = await made(tools, with_store=True)
    name = (await row_of(tools, recording_id)).store_name or ""
    files = plain(tools, manifest.name, offline_key)
    assert files[f"store/{name}"] == (tools.settings.recordings / name).read_bytes()


async def test_a_backup_goes_to_a_bucket(
    tools: WorkerResources, s3: S3Server, offline_key: Path
) -> None:
    settings = tools.settings.model_copy(update={"backups": s3.new_bucket()})
    tools = WorkerResources(settings, tools.engine)
    manifest, _ = await made(tools)
    assert "manifest.json" in plain(tools, manifest.name, offline_key)


async def test_a_recording_without_its_object_is_reported(tools: WorkerResources) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    (tools.settings.recordings / ((await row_of(tools, recording_id)).store_name or "")).unlink()
    _, said = await made(tools)
    assert any("1 recordings of the register have no object" in each for each in said)


async def test_a_dump_that_is_killed_leaves_no_archive(
    tools: WorkerResources, tmp_path: Path
) -> None:
    def kill_pg_dump(said: str) -> None:
        if said.startswith("database: snapshot"):
            for child in psutil.Process().children():
                if child.name() == "pg_dump":
                    child.kill()

    place = open_place(tools.settings)
    with pytest.raises(OperationFailed, match="pg_dump failed"):
        await back_up(
            tools.settings, tools.engine, place, OPERATOR, with_store=False, say=kill_pg_dump
        )
    assert not (tmp_path / "backups").exists()
    assert list(tools.settings.packing.iterdir()) == []


def sealed(members: list[Member], place: Path) -> x25519.Identity:
    """An archive of these members, and the key of it."""
    key, file = x25519.Identity.generate(), io.BytesIO()
    archive.encrypt(members, file, [key.to_public()], Ed25519PrivateKey.generate())
    place.mkdir()
    (place / "one").write_bytes(file.getvalue())
    return key


def test_an_altered_or_cut_archive_is_damaged(tmp_path: Path) -> None:
    key = sealed([Member.of_bytes("a", b"1" * 200_000)], tmp_path / "place")
    file = tmp_path / "place" / "one"
    whole = file.read_bytes()
    for content in (
        whole[:-1],
        whole[: len(whole) // 2],
        whole[:70_000] + bytes([whole[70_000] ^ 1]) + whole[70_001:],
    ):
        file.write_bytes(content)
        with (
            pytest.raises(DamagedBackup),
            archive.decrypted(Objects(tmp_path / "place"), "one", [key]) as tar,
        ):
            archive.verify(tar)


def test_an_archive_that_lacks_a_file_is_damaged(tmp_path: Path) -> None:
    members = [Member.of_bytes(name, name.encode()) for name in "ab"]
    key = sealed(members, tmp_path / "place")
    file, less = tmp_path / "place" / "one", io.BytesIO()
    whole = io.BytesIO(pyrage.decrypt(file.read_bytes(), [key]))
    with tarfile.open(fileobj=whole) as before, tarfile.open(fileobj=less, mode="w") as after:
        for each in before:
            if each.name != "a":
                after.addfile(each, before.extractfile(each))
    file.write_bytes(pyrage.encrypt(less.getvalue(), [key.to_public()]))
    with (
        pytest.raises(DamagedBackup),
        archive.decrypted(Objects(tmp_path / "place"), "one", [key]) as tar,
    ):
        archive.verify(tar)


def test_a_file_that_shrinks_fails_the_backup(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="became shorter"):
        sealed([Member.of_file("a", io.BytesIO(b"12"), 3, 0)], tmp_path / "place")


async def test_a_larger_archive_than_has_room_stops_no_smaller_one(
    tools: WorkerResources, tmp_path: Path
) -> None:
    """As one with the store, or a base backup, before the nightly one."""
    before = tmp_path / "backups" / "callcenter-20261127T000000Z.tar.age"
    before.parent.mkdir()
    with before.open("wb") as file:  # as large as what is free; it has no blocks
        file.truncate(shutil.disk_usage(tmp_path).free)
    manifest, said = await made(tools)
    assert "MiB are needed if it is as large as the newest" in said[0]
    assert {each.name for each in before.parent.iterdir()} == {before.name, manifest.name}


async def test_a_disk_without_room_is_said_before_a_backup(
    tools: WorkerResources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(tools)
    await keep(tools)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100, free=1))
    with pytest.raises(OperationFailed, match=r"MiB free .* nothing was written yet"):
        await made(tools, with_store=True)
    assert not (tmp_path / "backups").exists()
    assert list(tools.settings.packing.iterdir()) == []


def test_an_error_of_a_file_is_one_line(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    here = settings.model_copy(
        update={
            "var": tmp_path / "file" / "var",
            "backups": SecretStr(str(tmp_path / "backups")),
            "recovery_keys": (str(x25519.Identity.generate().to_public()),),
        }
    )
    done = fork_server.run((*CALLCENTER, "backup"), environment(here))
    assert done.returncode == 1
    assert done.stderr == f"callcenter: Not a directory: {here.packing}\n"


def test_an_error_of_a_file_elsewhere_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> None:
        Path("/nowhere/at all").read_bytes()

    monkeypatch.setattr(cli, "callcenter", fails)
    with pytest.raises(FileNotFoundError):
        cli.main()


def unreadable() -> Iterator[bytes]:
    yield b"1"
    raise OSError(errno.EIO, "Input/output error")


def full_disk(**_: object) -> io.FileIO:
    return io.FileIO("/dev/full", "w")


async def test_what_cannot_be_read_is_not_blamed_on_the_target(
    tools: WorkerResources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, place = tools.settings, Objects(tmp_path / "place")
    here.packing.mkdir(parents=True)
    with pytest.raises(OperationFailed, match="cannot read ledger/1 for the backup: Input/output"):
        write_archive(here, place, "one", [Member("ledger/1", 2, unreadable())], print)
    monkeypatch.setattr(archive_writer, "TemporaryFile", full_disk)
    with pytest.raises(OperationFailed, match=f"into {here.packing}: No space left on device"):
        write_archive(here, place, "one", [Member.of_bytes("a", b"1" * 200_000)], print)


async def test_the_command_tells_progress_and_lists_what_there_is(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environment(tools.settings).items():
        monkeypatch.setenv(key, value)
    run = CliRunner().invoke
    done = await asyncio.to_thread(run, callcenter, ["backup"])
    assert done.exit_code == 0, done.output
    assert "reading it back" in done.stderr
    assert "their list without the objects" in done.stdout
    [name] = [each.name for each in list_backups(open_place(tools.settings))]
    for listing in (["backup", "list"], ["backup", "--list"]):
        assert name in (await asyncio.to_thread(run, callcenter, listing)).stdout
    async with unit_of_work(tools.engine) as connection:
        query = text("SELECT action, subject FROM audit_entry")
        entries = [tuple(row) for row in await connection.execute(query)]
    assert entries == [("command:backup:made", f"backup:{name}")]


def test_check_warns_of_a_backup_that_is_missing_or_old() -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    night = StoredBackup(now - timedelta(hours=12), "callcenter-20261127T000000Z.tar.age", 1)
    copied = StoredBackup(now, "callcenter-20261127T120000Z.tar.age", 1)
    proven = {night.name: now - timedelta(hours=10)}
    noted = NumberMark(at=now - timedelta(minutes=9), last={})
    words = look_at_backups([night, copied], proven, noted, now)
    assert words == "the newest of 1 is of 2026-11-27 00:00 UTC"
    with pytest.raises(BackupLate, match="none was made"):
        look_at_backups([copied], proven, None, now)
    with pytest.raises(BackupLate, match=r"callcenter-backup.timer"):
        look_at_backups([night, copied], proven, noted, now + timedelta(hours=15, minutes=1))
    late = noted.model_copy(update={"at": now - timedelta(hours=2)})
    with pytest.raises(BackupLate, match="notes no erasures"):
        look_at_backups([night], proven, late, now)
