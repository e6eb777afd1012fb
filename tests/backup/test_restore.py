"""A site is lost, and comes back: nothing that was erased, no number twice, every call there."""

import asyncio
import hashlib
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from uuid import UUID, uuid4

import pyrage
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from pyrage import x25519
from sqlalchemy import text

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form.store import read_form
from callcenter.appeals.masking import service as masking
from callcenter.appeals.masking import store as masking_store
from callcenter.appeals.masking.store import MaskedAppeal, repeat_masking
from callcenter.appeals.record import no_request
from callcenter.appeals.record import service as records
from callcenter.appeals.record.manual_intake import register_contact
from callcenter.appeals.rules.channels import ContactChannel
from callcenter.appeals.rules.fields import Content
from callcenter.appeals.rules.masking import RuleScope
from callcenter.appeals.rules.new_contacts import NewContact
from callcenter.appeals.rules.states import AppealState, Disposition
from callcenter.backup import continuity
from callcenter.backup.actions import BackupAction
from callcenter.backup.archive import WrongIdentity
from callcenter.backup.continuity import NumberMark, Trust, write_notes
from callcenter.backup.place import open_place
from callcenter.backup.rules import SPARE_NUMBERS, numbers_to_skip
from callcenter.bootstrap.data_secrets import data_secrets, ensure_secrets
from callcenter.bootstrap.rooms import ROOMS
from callcenter.cli import callcenter
from callcenter.launcher.port_check import with_free_ports
from callcenter.launcher.process_plan import ours
from callcenter.launcher.supervisor import environment
from callcenter.platform.audit.jobs import sign_checkpoint
from callcenter.platform.audit.rules.checkpoints import key_from
from callcenter.platform.core import registry
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import CallcenterError, NotFound, OperationFailed
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.storage.backup_folders import RESERVED, BackupFolder
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.jobs import remove_erased
from callcenter.recordings.retention import service as retention
from callcenter.recordings.sealing import keys
from callcenter.telephony.calls.journal.events import CallOpened
from callcenter.telephony.calls.journal.spool import JournalSpool
from callcenter.telephony.reconciliation import jobs
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.backup.conftest import new_key
from tests.backup.test_backup import made
from tests.recordings.test_sealing_worker import keep, recorded, row_of
from tests.s3 import S3Server
from tests.services import changed
from tests.storage.recorded import BUSY, LEFT, REDIRECTED, TALKED, account, lines_of
from tests.trial_room.room import ROOM

Rows = list[tuple[object, ...]]
#: The command in a process of its own, with a switch that does not answer.
RESTORE = """
from callcenter.cli import main
from callcenter.telephony.reconciliation import jobs

jobs.SWITCH_LIMIT = 0.1
main()
"""


def person(name: str) -> Actor:
    return Actor(User(uuid4(), name, name, Role.HEAD, True, datetime.now(UTC)))


@pytest.fixture(params=["folders"])
def site(
    request: pytest.FixtureRequest, tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> WorkerResources:
    """The site before its loss, with a switch that does not answer."""
    monkeypatch.setattr(jobs, "SWITCH_LIMIT", 0.1)
    here = with_free_ports(tools.settings)
    if request.param == "buckets":
        s3: S3Server = request.getfixturevalue("s3")
        here = changed(here, backups=s3.new_bucket(), recordings_url=s3.new_bucket())
    cel_file_of(here).parent.mkdir(parents=True)
    return WorkerResources(here, tools.engine)


@pytest.fixture
def empty(site: WorkerResources, empty_database: str, tmp_path: Path) -> Settings:
    """The settings of an empty machine, with the store and the place of backups of the site."""
    var = tmp_path / "again" / "var"
    return changed(site.settings, var=var, database_url=SecretStr(empty_database))


def write(tools: WorkerResources, *call_ids: str) -> None:
    with cel_file_of(tools.settings).open("ab") as file:
        file.write(b"".join(lines_of(*call_ids)))


async def run(settings: Settings, *arguments: str) -> Result:
    """A command of that site."""
    there = environment(settings)
    done = await asyncio.to_thread(CliRunner().invoke, callcenter, arguments, env=there)
    assert done.exception is None or isinstance(done.exception, CallcenterError | SystemExit), (
        done.exception
    )
    return done


async def rows(tools: WorkerResources, query: str, **values: object) -> Rows:
    async with unit_of_work(tools.engine) as connection:
        return [tuple(row) for row in await connection.execute(text(query), values)]


async def numbers(tools: WorkerResources) -> dict[object, str]:
    found = await rows(tools, "SELECT call_id, number FROM appeal")
    return {call: str(number) for call, number in found}


async def mask(tools: WorkerResources, call_id: str) -> None:
    """Two people have the data of an appeal erased."""
    record_keys = RecordKeys.read(tools.settings)
    async with unit_of_work(tools.engine) as connection:  # it is written about for too short a time
        old = "UPDATE appeal SET received_at = received_at - interval '1 year' WHERE call_id = :id"
        await connection.execute(text(old), {"id": call_id})
    number = (await numbers(tools))[call_id]
    [request] = await masking.request_masking(tools.engine, person("a"), [number], "заявление")
    await masking.decide(
        tools.engine, record_keys, person("b"), request, approve=True, reason="закон"
    )


async def erase(tools: WorkerResources, recording_id: UUID) -> None:
    request = await retention.request_erasure(
        tools.engine, person("a"), recording_id, reason="срок", order=None
    )
    await retention.decide_erasure(tools.engine, person("b"), request, approve=True, reason="истёк")
    await keep(tools)


async def enter(tools: WorkerResources) -> str:
    """Somebody enters an appeal that came on paper; returns its number."""
    contact = NewContact(ContactChannel.PAPER, "kk", datetime.now(UTC), "+77010000001")
    return await register_contact(tools.engine, person("a"), contact)


async def save(tools: WorkerResources, call_id: str, version: int, content: Content) -> None:
    """Somebody writes about an appeal."""
    record_keys, number = RecordKeys.read(tools.settings), (await numbers(tools))[call_id]
    await records.save(tools.engine, record_keys, person("a"), number, version, None, content)


async def close(tools: WorkerResources, call_id: str, version: int) -> None:
    """Somebody closes an appeal as no request."""
    record_keys, number = RecordKeys.read(tools.settings), (await numbers(tools))[call_id]
    await records.close_without_request(
        tools.engine, record_keys, person("a"), number, version, Disposition.PRANK
    )


async def reopen(tools: WorkerResources, call_id: str, version: int) -> int:
    """Somebody opens again what was closed as no request; returns its version then."""
    record_keys, number = RecordKeys.read(tools.settings), (await numbers(tools))[call_id]
    opened = await records.move(
        *(tools.engine, record_keys, person("b"), number, version),
        AppealState.CONTACT,
        "перезвонил",
    )
    return opened.version


async def restored(settings: Settings, key: Path, *arguments: str) -> Result:
    return await run(settings, "restore", "--identity", str(key), *arguments)


def again(empty: Settings, *, is_restoring: bool = False) -> WorkerResources:
    return WorkerResources(empty, open_database(empty, is_restoring=is_restoring))


class Lost(NamedTuple):
    """A site that was lost: the numbers of its calls, a recording, and one that was erased."""

    given: dict[object, str]
    audible: UUID
    erased: UUID


async def lose(site: WorkerResources, empty: Settings) -> Lost:
    """Lose the site with all that came since its backup, but for what is beside its database."""
    await ensure_secrets(site.settings, site.engine, list(data_secrets(site.settings)))
    async with unit_of_work(site.engine) as connection:
        await users.add_user(connection, name="aigul", role=Role.HEAD, password_hash="")
        user = await users.get_user(connection, "aigul")
        await users.begin_session(connection, user_id=user.id, token="hers")
    write(site, TALKED, BUSY)
    await account(site)
    audible, erased = await recorded(site), await recorded(site)
    await keep(site)
    await made(site)
    # What comes after the backup is in the CEL log, in the store and beside the backups alone.
    write(site, LEFT, REDIRECTED)
    await account(site)
    lost = Lost(await numbers(site), audible, erased)
    await mask(site, TALKED)
    await mask(site, LEFT)
    await erase(site, erased)
    now = datetime.now(UTC)
    await write_notes(site, now)
    await sign_checkpoint(site, now)
    shutil.copytree(cel_file_of(site.settings).parent, cel_file_of(empty).parent)
    shutil.copytree(site.settings.audit_heads, empty.audit_heads)
    return lost


async def is_whole(empty: Settings, lost: Lost) -> None:
    """Look whether a lost site is as a restore leaves it."""
    here = again(empty)
    try:
        given, after = lost.given, await numbers(here)
        assert after.keys() == given.keys()
        assert {call: after[call] for call in (TALKED, BUSY)} == {
            call: given[call] for call in (TALKED, BUSY)
        }
        assert {after[LEFT], after[REDIRECTED]}.isdisjoint(given.values())
        assert int(after[LEFT]) > max(map(int, given.values()))
        people = "SELECT call_id, caller_number FROM appeal WHERE caller_number IS NOT NULL"
        assert {call for call, _ in await rows(here, people)} == {BUSY, REDIRECTED}
        assert (await row_of(here, lost.erased)).state == "erased"
        assert (await row_of(here, lost.audible)).state == "stored"
        assert await rows(here, "SELECT count(*) FROM web_session") == [(0,)]
        # Once, with what it found, however often it was run.
        entries = "SELECT detail->'heads_superseded' FROM audit_entry WHERE action = :action"
        assert await rows(here, entries, action=BackupAction.RESTORED.value) == [(1,)]
        mark = continuity.read_numbers(open_place(empty), Trust.of_key(key_of(here)))
        assert mark is not None
        assert mark.last[appeals.year_of(datetime.now(UTC))] >= SPARE_NUMBERS
        for command in (("audit", "verify"), ("recordings", "verify")):
            verified = await run(empty, *command)
            assert verified.exit_code == 0, verified.output
        compared = await run(empty, "check", "calls", "--from", "2026-11-24")
        assert compared.exit_code == 0, compared.output
    finally:
        await here.engine.dispose()


@pytest.mark.parametrize("site", ["folders", "buckets"], indirect=True)
async def test_a_lost_site_comes_back_whole(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    lost = await lose(site, empty)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    assert "2 calls entered again" in done.stdout
    assert "3 maskings and erasures done again" in done.stdout
    await is_whole(empty, lost)
    # Again, for a CEL log that is found later: nothing twice.
    here = again(empty)
    after = await numbers(here)
    assert (await run(empty, "restore", "--catch-up")).exit_code == 0
    assert await numbers(here) == after
    await here.engine.dispose()


async def test_what_was_not_sealed_yet_is_erased_again(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    """The backup has these recordings in progress, closed, and failed for want of their file."""
    await ensure_secrets(site.settings, site.engine, list(data_secrets(site.settings)))
    running, closed, failed = [await recorded(site, close=False) for _ in range(3)]
    state = "UPDATE recording SET state = :state, ended_at = :ended WHERE id = :id"
    ended = datetime.now(UTC)
    async with unit_of_work(site.engine) as connection:
        for each, its in ((closed, "closed"), (failed, "failed")):
            await connection.execute(text(state), {"id": each, "state": its, "ended": ended})
    await made(site)
    async with unit_of_work(site.engine) as connection:
        for each in (running, failed):
            await connection.execute(text(state), {"id": each, "state": "closed", "ended": ended})
    await keep(site)
    for each in (running, closed, failed):
        await erase(site, each)
    sealed = [await row_of(site, each) for each in (running, closed, failed)]
    await write_notes(site, ended)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    assert "3 maskings and erasures done again" in done.stdout
    here = again(empty)
    try:
        for row in sealed:
            assert row.store_name is not None
            found = await row_of(here, row.id)
            assert (found.state, found.sha256) == ("erased", row.sha256)
            assert (found.store_name, found.ended_at) == (row.store_name, ended)
        empty.spool.mkdir()
        await remove_erased(here)
        names = [row.store_name for row in sealed]
        assert not any((empty.recordings / str(name)).exists() for name in names)
        # A copy of the store that is found later brings none of them back.
        for name in names:
            (empty.recordings / str(name)).write_bytes(b"age")
        assert (await run(empty, "restore", "--catch-up")).exit_code == 0
        await remove_erased(here)
        assert not any((empty.recordings / str(name)).exists() for name in names)
    finally:
        await here.engine.dispose()


async def test_what_was_no_request_is_erased_again(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    write(site, TALKED, BUSY)
    await account(site)
    await save(site, TALKED, 0, {"content": "Кричал, назвался Сейтов"})
    await made(site)
    write(site, LEFT)
    await account(site)
    await close(site, TALKED, 1)
    await close(site, LEFT, 0)
    await write_notes(site, datetime.now(UTC))
    shutil.copytree(cel_file_of(site.settings).parent, cel_file_of(empty).parent)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    assert "2 maskings and erasures done again" in done.stdout
    here = again(empty)
    try:
        people = "SELECT call_id FROM appeal WHERE caller_number IS NOT NULL"
        assert await rows(here, people) == [(BUSY,)]
        assert await rows(here, "SELECT word FROM search_word") == []
        closed = (
            "SELECT call_id, stage, kind, disposition, content::text, author FROM record"
            " JOIN record_move USING (appeal_id) JOIN appeal ON appeal.id = appeal_id"
        )
        assert set(await rows(here, closed)) == {
            (call, "no_request", "no_request", "prank", "{}", "user:a") for call in (TALKED, LEFT)
        }
        # What is written after it was opened again is not erased by another catching up.
        version = await reopen(here, LEFT, 1)
        await save(here, LEFT, version, {"content": "Просит помощи"})
        assert (await run(empty, "restore", "--catch-up")).exit_code == 0
        content = "SELECT content->>'content' FROM record WHERE content <> '{}'"
        assert await rows(here, content) == [("Просит помощи",)]
    finally:
        await here.engine.dispose()


async def test_what_was_opened_again_before_the_loss_stays_open(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    await close(site, TALKED, 0)
    await write_notes(site, datetime.now(UTC))
    await reopen(site, TALKED, 2)
    await write_notes(site, datetime.now(UTC))
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    here = again(empty)
    moves = (
        "SELECT stage, disposition, caller_number, author, reason FROM record_move"
        " JOIN record USING (appeal_id) JOIN appeal ON appeal.id = appeal_id ORDER BY at"
    )
    opened = ("contact", None, None)
    found = [(*opened, "user:a", ""), (*opened, "user:b", "перезвонил")]
    assert await rows(here, moves) == found
    assert (await run(empty, "restore", "--catch-up")).exit_code == 0
    assert await rows(here, moves) == found
    await here.engine.dispose()


async def test_what_was_changed_since_the_restore_is_not_erased(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    write(site, TALKED, BUSY)
    await account(site)
    await made(site)
    await close(site, TALKED, 0)
    await close(site, BUSY, 0)
    now, place = datetime.now(UTC), open_place(site.settings)
    await write_notes(site, now)
    name = f"erasures/{now:%Y-%m-%d}.jsonl.age"
    note = b"".join(place.stream(name))
    for each in (name, continuity.NUMBERS):
        place.remove(each)
    assert (await restored(empty, offline_key)).exit_code == 0
    here = again(empty)
    await save(here, TALKED, 0, {"content": "Просит помощи"})
    place.put(name, BytesIO(note))  # found later
    done = await run(empty, "restore", "--catch-up")
    number = (await numbers(here))[TALKED]
    assert f"was closed as no request, and was changed since: appeal {number}" in done.stdout
    assert done.exit_code != 0
    stages = "SELECT call_id, stage FROM record JOIN appeal ON appeal.id = appeal_id"
    assert set(await rows(here, stages)) == {(TALKED, "contact"), (BUSY, "no_request")}
    content = "SELECT content->>'content' FROM record WHERE content <> '{}'"
    assert await rows(here, content) == [("Просит помощи",)]
    await here.engine.dispose()


async def test_what_no_call_opened_is_not_taken_for_another(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    untouched, record_keys = await enter(site), RecordKeys.read(site.settings)
    content = {"content": "Просит помощи"}
    await records.save(site.engine, record_keys, person("a"), untouched, 1, None, content)
    await made(site)
    closed = await enter(site)  # which the backup lacks, as Asterisk's log does
    await records.close_without_request(
        site.engine, record_keys, person("a"), closed, 1, Disposition.PRANK
    )
    [(appeal_id,)] = await rows(site, "SELECT id FROM appeal WHERE number = :it", it=closed)
    await write_notes(site, datetime.now(UTC))
    done = await restored(empty, offline_key)
    assert f"not here to be erased: there is no appeal {appeal_id}" in done.stdout
    here = again(empty)
    query = (
        "SELECT number, caller_number, stage, content->>'content' FROM appeal"
        " JOIN record ON appeal_id = appeal.id"
    )
    assert await rows(here, query) == [(untouched, "+77010000001", "contact", "Просит помощи")]
    await here.engine.dispose()


async def test_a_folder_of_a_room_comes_back(
    site: WorkerResources, empty: Settings, offline_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "registered", [*ROOMS, ROOM])
    seeds = Path("garden") / "spring" / "seeds.txt"
    (site.settings.var / seeds).parent.mkdir(parents=True)
    (site.settings.var / seeds).write_text("алма")
    await made(site)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    assert (empty.var / seeds).read_text() == "алма"


async def test_files_of_an_unknown_room_are_not_dropped(
    site: WorkerResources, empty: Settings, offline_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.settings.var / "garden").mkdir()
    (site.settings.var / "garden" / "seeds.txt").write_text("алма")
    with monkeypatch.context() as with_garden:
        with_garden.setattr(registry, "registered", [*ROOMS, ROOM])
        await made(site)
    done = await restored(empty, offline_key)
    assert "belong to no room of this version: garden/seeds.txt" in str(done.exception)
    assert not (empty.var / "restored").exists()


@pytest.mark.parametrize("key", [*sorted(RESERVED), "store.jsonl", "a/b"])
def test_a_rooms_folder_has_a_name_of_its_own(key: str) -> None:
    with pytest.raises(OperationFailed):
        BackupFolder(key, lambda settings: settings.var)


async def test_a_process_of_its_own_masks_again(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    """It has what the command itself imports, and nothing of the tests."""
    write(site, TALKED)
    await account(site)
    await made(site)
    await mask(site, TALKED)
    await write_notes(site, datetime.now(UTC))
    done = await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-c", RESTORE, "restore", "--identity", str(offline_key)),
        cwd=ROOT,
        env=environment(empty),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 maskings and erasures done again" in done.stdout


def as_root(settings: Settings, folder: Path, *arguments: str) -> str:
    """The output of `callcenter-as root` on a machine with these settings in the units' files."""
    values = environment(settings).items()
    lines = [f"{name}={shlex.quote(text)}" for name, text in values if name.startswith("CALLC")]
    files = ("common", "switch", "watchdog", "web", "worker", "owner")
    for number, name in enumerate(files):
        (folder / f"{name}.env").write_text("\n".join(lines[number :: len(files)]))
    script = (ROOT / "docs" / "operations" / "systemd" / "callcenter-as").read_text()
    for there, here in (
        ("/opt/callcenter/.venv/bin/callcenter", ours()[0]),
        ("/etc/callcenter", folder),
        ("/opt/callcenter", folder),
    ):
        script = script.replace(there, str(here))
    done = subprocess.run(
        ["sh", "-c", script, "callcenter-as", "root", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become root")
@pytest.mark.parametrize("site", ["buckets"], indirect=True)
async def test_root_restores_a_site_from_buckets(
    site: WorkerResources, empty: Settings, offline_key: Path, tmp_path: Path
) -> None:
    recording_id = await recorded(site)
    await keep(site)
    await made(site, with_store=True)
    empty.secrets_folder.mkdir(mode=0o700, parents=True)
    owner = pwd.getpwnam("nobody")
    os.chown(empty.secrets_folder, owner.pw_uid, owner.pw_gid)
    there = changed(empty, recordings_url=None, recordings=tmp_path / "again" / "recordings")
    said = await asyncio.to_thread(
        as_root, there, tmp_path, "restore", "--identity", str(offline_key)
    )
    assert "with the objects" in said
    assert (there.recordings / ((await row_of(site, recording_id)).store_name or "")).exists()
    # For the users of the units, though root restores it.
    assert (there.secrets_folder / "register").stat().st_uid == owner.pw_uid
    await asyncio.to_thread(as_root, there, tmp_path, "recordings", "verify")


async def test_it_is_never_restored_over_another_database(
    site: WorkerResources, offline_key: Path
) -> None:
    await made(site)
    refused = await restored(site.settings, offline_key)
    assert "the database is not empty" in str(refused.exception)


async def test_another_secret_on_the_machine_refuses_the_restore(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    empty.secrets_folder.mkdir(parents=True, mode=0o700)
    (empty.secrets_folder / "register").write_text("another\n")
    refused = await restored(empty, offline_key)
    assert f"{empty.secrets_folder / 'register'}" in str(refused.exception)
    here = again(empty)
    assert await rows(here, "SELECT to_regclass('appeal')") == [(None,)]
    await here.engine.dispose()


@pytest.mark.parametrize("check", [(), ("--check",)])
async def test_another_key_restores_nothing(
    site: WorkerResources, empty: Settings, tmp_path: Path, check: tuple[str, ...]
) -> None:
    await made(site)
    refused = await restored(empty, new_key(tmp_path / "another.key"), *check)
    assert isinstance(refused.exception, WrongIdentity)
    assert not empty.secrets_folder.exists()
    here = again(empty)  # nobody is refused: it has not begun
    assert await rows(here, "SELECT to_regclass('appeal')") == [(None,)]
    await here.engine.dispose()


async def test_a_damaged_backup_restores_nothing(
    site: WorkerResources, empty: Settings, offline_key: Path, tmp_path: Path
) -> None:
    manifest, _ = await made(site)
    file = tmp_path / "backups" / manifest.name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    refused = await restored(empty, offline_key)
    assert "not what was written" in str(refused.exception)
    assert not empty.secrets_folder.exists()


async def test_a_disk_without_room_is_said_before_a_restore(
    site: WorkerResources, empty: Settings, offline_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(site)
    full = SimpleNamespace(total=100, used=99, free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    refused = await restored(empty, offline_key)
    assert "0 MiB free on the disk of" in str(refused.exception)
    assert "1 MiB are needed" in str(refused.exception)
    assert not empty.secrets_folder.exists()
    here = again(empty)  # nobody is refused: it has not begun
    assert await rows(here, "SELECT to_regclass('appeal')") == [(None,)]
    await here.engine.dispose()


async def test_a_backup_of_somebody_else_is_not_restored(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    """Whoever can write there, and knows the public key, can put an archive there."""
    await made(site)
    ours = key_from(read_secret(site.settings.secrets_folder, "audit")).public_key()
    signer = hashlib.sha256(ours.public_bytes_raw()).hexdigest()
    (site.settings.secrets_folder / "audit").write_text(f"{'A' * 43}\n")
    manifest, _ = await made(site)
    refused = await restored(empty, offline_key, manifest.name, "--signed-by", signer)
    assert "signed by another key" in str(refused.exception)
    assert not empty.secrets_folder.exists()


async def test_the_objects_of_a_lost_store_come_back(
    site: WorkerResources, empty: Settings, offline_key: Path, tmp_path: Path
) -> None:
    recording_id = await recorded(site)
    await keep(site)
    await made(site, with_store=True)
    elsewhere = changed(empty, recordings=tmp_path / "again" / "recordings")
    assert (await restored(elsewhere, offline_key)).exit_code == 0
    verified = await run(elsewhere, "recordings", "verify")
    assert verified.exit_code == 0, verified.output
    name = (await row_of(site, recording_id)).store_name or ""
    assert (elsewhere.recordings / name).stat().st_mode & 0o777 == 0o600


async def test_checkpoints_of_lost_entries_are_superseded(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    await made(site)
    now = datetime.now(UTC)
    await sign_checkpoint(site, now)
    # The machine lost its database alone.
    here = changed(site.settings, database_url=empty.database_url)
    done = await restored(here, offline_key)
    assert done.exit_code == 0, done.output
    assert "1 checkpoints of lost entries moved" in done.stderr
    assert (await run(here, "audit", "verify")).exit_code == 0


async def test_what_is_erased_and_not_here_is_named(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    write(site, TALKED)
    await account(site)
    await mask(site, TALKED)
    [(appeal_id,)] = await rows(site, "SELECT id FROM appeal")
    await write_notes(site, datetime.now(UTC))
    done = await restored(empty, offline_key)
    assert f"not here to be erased: there is no appeal {appeal_id}" in done.stdout
    assert done.exit_code != 0  # it may come back, with a log that is found later


async def test_calls_in_a_journal_are_entered_by_it_alone(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    """A controller has served them while the site was restored."""
    await made(site)
    write(site, TALKED, BUSY)
    shutil.copytree(cel_file_of(site.settings).parent, cel_file_of(empty).parent)
    spool, now = JournalSpool(empty.journals, "line-1", 1024**2), datetime.now(UTC)
    await spool.append([CallOpened(uuid4(), TALKED, parse_caller_id("+77010000001"), now)])
    done = await restored(empty, offline_key)
    assert "wait for the database are not entered, and nothing is mended" in done.stdout
    assert done.exit_code != 0
    here = again(empty)
    assert TALKED not in await numbers(here)
    await spool.remove()
    spool.close()
    assert (await run(empty, "restore", "--catch-up")).exit_code == 0
    assert (await numbers(here)).keys() == {TALKED, BUSY}
    await here.engine.dispose()


async def test_a_missing_store_keeps_no_site_down(
    site: WorkerResources, empty: Settings, offline_key: Path, tmp_path: Path
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    (tmp_path / "file").touch()
    storeless = changed(empty, recordings=tmp_path / "file" / "recordings")
    done = await restored(storeless, offline_key)
    assert "recordings are not compared with the store" in done.stdout
    assert done.exit_code != 0
    here = again(empty)  # which is served
    assert (await numbers(here)).keys() == {TALKED}
    await here.engine.dispose()
    assert (await run(empty, "restore", "--catch-up")).exit_code == 0


async def test_numbers_never_come_twice_after_two_restores(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    await restored(empty, offline_key)
    here = again(empty)
    year = appeals.year_of(datetime.now(UTC))
    [(first,)] = await rows(here, f"SELECT last FROM appeal_counter WHERE year = {year}")  # noqa: S608
    await here.engine.dispose()
    mark = continuity.read_numbers(open_place(empty), Trust.of_key(key_of(site)))
    assert mark is not None
    assert mark.last[year] == first


def sealed_to(tools: WorkerResources, lines: bytes) -> BytesIO:
    """As anybody can seal them who has a public key of the recordings."""
    return BytesIO(pyrage.encrypt(lines, keys.read(tools.settings.keys).recipients))


def key_of(tools: WorkerResources) -> Ed25519PrivateKey:
    return key_from(read_secret(tools.settings.secrets_folder, "audit"))


@pytest.mark.parametrize("forger", [None, Ed25519PrivateKey.generate()])
async def test_forged_numbers_use_up_none(
    site: WorkerResources, empty: Settings, offline_key: Path, forger: Ed25519PrivateKey | None
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    now = datetime.now(UTC)
    forged = NumberMark(at=now, last={appeals.year_of(now): 99_000_000})
    place = open_place(site.settings)
    if forger is None:
        place.put(continuity.NUMBERS, BytesIO(forged.model_dump_json().encode()))
    else:
        continuity.write_numbers(place, forger, forged)
    signer = Trust.of_key(key_of(site)).signer.upper()
    refused = await restored(empty, offline_key, "--signed-by", signer)
    assert refused.exit_code != 0
    assert "numbers.json beside the backups is not signed by" in str(refused.exception)
    assert "--unsigned-note numbers.json" in str(refused.exception)
    # Nothing was touched: it may be repeated, with the worker's note or by saying so.
    done = await restored(empty, offline_key, "--unsigned-note", continuity.NUMBERS)
    assert done.exit_code == 0, done.output
    assert "go on after 990" in done.stderr


async def test_a_forged_erasure_erases_nothing(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    write(site, TALKED, BUSY)
    await account(site)
    await mask(site, TALKED)
    await made(site)
    now = datetime.now(UTC)
    ring = keys.read(site.settings.keys)
    await write_notes(site, now)
    place, name = open_place(site.settings), f"erasures/{now:%Y-%m-%d}.jsonl.age"
    lines = pyrage.decrypt(b"".join(place.stream(name)), list(ring.identities))
    place.put(name, sealed_to(site, lines.replace(TALKED.encode(), BUSY.encode())))

    refused = await restored(empty, offline_key)
    assert refused.exit_code != 0
    assert f"{name} beside the backups is not signed by" in str(refused.exception)
    here = again(empty, is_restoring=True)
    busy = f"SELECT count(*) FROM appeal WHERE caller_number IS NOT NULL AND call_id = '{BUSY}'"  # noqa: S608
    try:
        assert await rows(here, busy) == [(1,)]
        place.put(name, sealed_to(site, lines.splitlines()[0]))  # as an earlier version wrote it
        assert (await run(empty, "restore", "--catch-up")).exit_code != 0
        believing = ("restore", "--catch-up", "--unsigned-note", name)
        assert (await run(empty, *believing)).exit_code == 0
        assert await rows(here, busy) == [(1,)]
    finally:
        await here.engine.dispose()


async def test_the_worker_signs_notes_anew_and_believes_none(
    site: WorkerResources, caplog: pytest.LogCaptureFixture
) -> None:
    write(site, TALKED)
    await account(site)
    await mask(site, TALKED)
    place, now = open_place(site.settings), datetime.now(UTC)
    name = f"erasures/{now:%Y-%m-%d}.jsonl.age"
    forged = NumberMark(at=now, last={26: 99_000_000})
    place.put(continuity.NUMBERS, BytesIO(forged.model_dump_json().encode()))
    place.put(name, sealed_to(site, b"{}"))
    await write_notes(site, now)
    trust, ring = Trust.of_key(key_of(site)), keys.read(site.settings.keys)
    mark = continuity.read_numbers(place, trust)
    assert mark is not None
    assert 99_000_000 not in mark.last.values()
    assert len(continuity.read_erasures(place, now.date(), now.date(), ring.identities, trust)) == 1
    assert caplog.text.count("note not signed by this site") == 2


def test_a_note_of_another_day_is_not_signed(tmp_path: Path) -> None:
    place, key = Objects(tmp_path), Ed25519PrivateKey.generate()
    continuity.write_numbers(place, key, NumberMark(at=datetime.now(UTC), last={26: 7}))
    ring = x25519.Identity.generate()
    note = b"".join(place.stream(continuity.NUMBERS))
    today = datetime.now(UTC).date()
    sealed = pyrage.encrypt(note, [ring.to_public()])
    place.put(f"erasures/{today}.jsonl.age", BytesIO(sealed))
    with pytest.raises(continuity.NotesUnsigned):
        continuity.read_erasures(place, today, today, [ring], Trust.of_key(key))


def test_numbers_jump_by_the_days_that_may_be_lost() -> None:
    at = datetime(2026, 12, 30, 22, tzinfo=UTC)
    skip = numbers_to_skip(
        {26: 500, 27: 3}, noted_at=at, now=at + timedelta(days=2, hours=1), years=(26, 27)
    )
    assert skip == {26: 500 + 3 * SPARE_NUMBERS, 27: 3 + 3 * SPARE_NUMBERS}
    assert numbers_to_skip({}, noted_at=at, now=at, years=(26,)) == {26: SPARE_NUMBERS}


async def test_a_closing_noted_late_hides_no_other(site: WorkerResources) -> None:
    """Its number is the newest, though its time is not."""
    write(site, TALKED, BUSY)
    await account(site)
    await close(site, TALKED, 0)
    await close(site, BUSY, 0)
    now = datetime.now(UTC)
    late = (
        "UPDATE record_move SET at = at - interval '2 days'"
        " WHERE id = (SELECT max(id) FROM record_move)"
    )
    async with unit_of_work(site.engine) as connection:
        await connection.execute(text(late))
        closed = await no_request.list_closed(connection, now - timedelta(hours=1), now)
    assert [each.call_id for each in closed] == [TALKED]


async def test_notes_only_grow(site: WorkerResources) -> None:
    write(site, TALKED)
    await account(site)
    place, now = open_place(site.settings), datetime.now(UTC)
    trust = Trust.of_key(key_of(site))
    continuity.write_numbers(place, key_of(site), NumberMark(at=now, last={26: 700, 25: 9}))
    await mask(site, TALKED)
    await write_notes(site, now)
    mark = continuity.read_numbers(place, trust)
    assert mark is not None
    assert mark.last == {26: 700, 25: 9}
    async with unit_of_work(site.engine) as connection:
        await connection.execute(text("DELETE FROM masked"))
    await write_notes(site, now)
    ring = keys.read(site.settings.keys)
    assert len(continuity.read_erasures(place, now.date(), now.date(), ring.identities, trust)) == 1


def test_unchanged_numbers_are_written_anew_only_later(tmp_path: Path) -> None:
    place, at = Objects(tmp_path), datetime(2026, 11, 27, 12, tzinfo=UTC)
    key = Ed25519PrivateKey.generate()
    for minutes, last in ((0, 7), (1, 7), (2, 8), (3, 8), (12, 8)):
        now = at + timedelta(minutes=minutes)
        continuity.write_numbers(place, key, NumberMark(at=now, last={26: last}))
        mark = continuity.read_numbers(place, Trust.of_key(key))
        assert mark is not None
        assert mark.at == at + timedelta(minutes={1: 0, 3: 2}.get(minutes, minutes))


async def test_a_rule_that_was_lost_is_not_in_force_again(site: WorkerResources) -> None:
    write(site, TALKED)
    await account(site)
    record_keys, at = RecordKeys.read(site.settings), datetime.now(UTC)
    done = MaskedAppeal(
        *(uuid4(), TALKED, at, uuid4(), RuleScope.UNWRITTEN.value, 30),
        *("порядок", "user:a", at, "user:b", at, "закон"),
    )
    async with unit_of_work(site.engine) as connection:
        form = await read_form(connection)
        assert await repeat_masking(connection, record_keys, form, done) is not None
        assert await repeat_masking(connection, record_keys, form, done) is None
        assert await masking_store.list_rules(connection) == []
    assert await rows(site, "SELECT caller_number FROM appeal") == [(None,)]


async def test_what_no_call_opened_is_not_masked_for_another(site: WorkerResources) -> None:
    await enter(site)
    record_keys, at = RecordKeys.read(site.settings), datetime.now(UTC)
    lacking = MaskedAppeal(  # entered on paper and masked after the backup
        *(uuid4(), None, at, uuid4(), None, None),
        *("заявление", "user:a", at, "user:b", at, "закон"),
    )
    async with unit_of_work(site.engine) as connection:
        form = await read_form(connection)
        with pytest.raises(NotFound, match=f"there is no appeal {lacking.appeal_id} to erase"):
            await repeat_masking(connection, record_keys, form, lacking)
    assert await rows(site, "SELECT caller_number FROM appeal") == [("+77010000001",)]
