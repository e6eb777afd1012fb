"""Restores a site into an empty machine, and catches up with what came since.

Catching up enters calls again that Asterisk's own log has, adopts recordings that the store has,
and masks and erases again what was. It is repeatable, so that a CEL log or a store that is found
later counts too.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tarfile import TarFile
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyrage import x25519
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form.store import read_form
from callcenter.appeals.masking.store import MaskedAppeal, repeat_masking
from callcenter.backup import archive, continuity, postgres_programs, site_restore
from callcenter.backup.actions import BackupAction
from callcenter.backup.continuity import Erased, NumberMark, Trust
from callcenter.backup.manifest import MANIFEST, Manifest, read_facts
from callcenter.backup.place import open_place
from callcenter.backup.recovery import RestoreRequest, recovered
from callcenter.backup.rules import numbers_to_skip
from callcenter.backup.service import DATABASE
from callcenter.backup.signature import signing_key
from callcenter.platform.audit import store as audit
from callcenter.platform.audit.checkpoint_files import move_superseded
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.store import end_all_sessions
from callcenter.platform.storage.database_roles import DatabaseRole, make_roles, password_file
from callcenter.platform.storage.engine import run_once_in_transaction, unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.migrate import has_migration, migrate
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.retention.store import repeat_erasure
from callcenter.recordings.sealing import keys
from callcenter.telephony.reconciliation.jobs import CHECK_AFTER, account_for_calls, check_calls
from callcenter.telephony.reconciliation.orphaned_objects import Adoption, adopt_since
from callcenter.telephony.reconciliation.rules import Discrepancy

#: Calls that were in progress at the backup had begun before it.
RECONCILED_BEFORE = timedelta(days=1)
NOT_EMPTY = text(
    "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
)

Say = Callable[[str], None]


class CatchUp(NamedTuple):
    """The outcome of catching up, with what was left to people."""

    calls: int  #: appeals that were entered again
    adopted: Sequence[Adoption]
    erased: int
    not_here: Sequence[str]  #: what was erased, and is not here
    left: Sequence[Discrepancy]

    def describe(self) -> list[str]:
        """The outcome, in lines for a person."""
        strangers = [each for each in self.adopted if each.appeal_id is None]
        return [
            f"{self.calls} calls entered again from Asterisk's log",
            f"{len(self.adopted) - len(strangers)} recordings adopted from the store",
            f"{self.erased} maskings and erasures done again",
            *(f"not here to be erased: {each}" for each in self.not_here),
            *(f"belongs to no recording: {each.name}  {each.why}" for each in strangers),
            *(f"DIFFERS {each.kind} {each.subject}  {each.why}" for each in self.left),
        ]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to people."""
        return not self.left and all(each.appeal_id for each in self.adopted)


def check_backup(place: Objects, name: str, identity: Path, signer: str | None) -> Manifest:
    """Read all of a backup and compare it with its sums; changes nothing. It blocks.

    `signer` is the SHA-256 of the key that must have signed it. Raises WrongIdentity, WrongSigner,
    DamagedBackup, ObjectMissing and ObjectStoreUnavailable.
    """
    with archive.decrypted(place, name, [read_identity(identity)]) as tar:
        archive.verify(tar, signer)
        return Manifest.parse(archive.read(tar, MANIFEST))


def read_identity(file: Path) -> x25519.Identity:
    """The private key of the backups. Raises InvalidRequest."""
    try:
        return keys.read_identity(file)
    except OSError as exc:
        raise InvalidRequest(f"cannot read the key {file}: {exc.strerror}") from exc


async def restore(
    settings: Settings,
    engine: AsyncEngine,
    request: RestoreRequest,
    actor: Actor,
    say: Say,
) -> Manifest:
    """Restore files, store and database of a backup; whatever fails may be repeated.

    The manifest that is returned says which moment was reached. Raises InvalidRequest when the
    database has tables, a file is here that differs, or the log does not reach the moment; what
    `check_backup` raises; NotesUnsigned, OperationFailed and DependencyUnavailable.
    """
    place = open_place(settings)
    await _refuse_tables(engine)
    say(f"checking {request.name}")
    done = await asyncio.to_thread(_restore_all, settings, place, request, say)
    if any(password_file(settings.secrets_folder, role).exists() for role in DatabaseRole):
        try:
            await asyncio.to_thread(make_roles, settings, replaces_passwords=False)
        except InvalidRequest as exc:  # they can be made later
            say(str(exc))
    await asyncio.to_thread(migrate, settings)
    async with unit_of_work(engine) as connection:  # pg_restore leaves no statistics
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("ANALYZE"))
    await _continue_numbering(settings, engine, place, done, actor, say)
    return done.manifest


async def catch_up(
    tools: WorkerResources,
    since: datetime,
    actor: Actor,
    extra: Sequence[x25519.Identity] = (),
    *,
    signer: str | None = None,
    unsigned: Collection[str] = (),
) -> CatchUp:
    """Enter again, adopt and erase what came since that moment. Repeatable, safe to kill.

    `extra` are keys that open the notes of erasures beside those of the center. They must be of
    this signer, by default of this site, but for those in `unsigned`. Raises NotesUnsigned and
    NotesMissing before it changes anything, DependencyUnavailable, OperationFailed and OSError.
    """
    now = datetime.now(UTC)
    ring = await asyncio.to_thread(keys.read, tools.settings.keys)
    place, identities = open_place(tools.settings), [*extra, *ring.identities]
    own = Trust.of_key(await asyncio.to_thread(signing_key, tools.settings)).signer
    trust = Trust((signer or own).lower(), unsigned)
    done = await asyncio.to_thread(
        continuity.read_erasures, place, since.date(), now.date(), identities, trust
    )
    before = await _count_given(tools.engine)
    await account_for_calls(tools, timedelta())
    adopted = await adopt_since(tools, since.date(), actor)
    found, repaired = await check_calls(
        tools, since=since - RECONCILED_BEFORE, until=max(now - CHECK_AFTER, since), repair=True
    )
    calls = await _count_given(tools.engine) - before
    erased, not_here = await _repeat_erasures(tools, done, actor)
    left = [each for each in found if each not in repaired]
    return CatchUp(calls, adopted, erased, not_here, left)


async def restored_to(engine: AsyncEngine) -> datetime:
    """The moment to which this database was restored last. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        detail = await audit.newest_detail(connection, BackupAction.RESTORED)
    if detail is None:
        raise NotFound("this database was never restored from a backup")
    return datetime.fromisoformat(str(detail["taken_at"]))


async def _refuse_tables(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        count = await connection.scalar(NOT_EMPTY)
    if count:
        raise InvalidRequest(
            "the database is not empty, and nothing is ever restored over another: name a new one "
            "in CALLCENTER_DATABASE_URL, or move var/postgres away"
        )


class _Restored(NamedTuple):
    """Outcome of restoring the parts of a backup, which the rest goes by."""

    manifest: Manifest
    mark: NumberMark | None
    key: Ed25519PrivateKey  #: of this site's audit log, from now on


def _restore_all(
    settings: Settings, place: Objects, request: RestoreRequest, say: Say
) -> _Restored:
    """The database last: while it is empty all of this may be repeated.

    In one opening, so that what is restored is what was checked.
    """
    with archive.decrypted(place, request.name, [request.identity]) as tar:
        signed_by = archive.verify(tar, request.signer)
        manifest = Manifest.parse(archive.read(tar, MANIFEST))
        _refuse_later(manifest)
        mark = continuity.read_numbers(place, Trust(signed_by, request.unsigned))
        site_restore.check_conflicts(settings, archive.read_sums(tar))
        log_of_signer = replace(request, signer=signed_by)
        base = recovered(settings, place, log_of_signer, manifest, _parts_of(tar), say)
        with nullcontext() if manifest.server is None else base as there:
            if there is not None:
                manifest = asyncio.run(run_once_in_transaction(there, partial(_reached, manifest)))
                _refuse_later(manifest)
            say("restoring files")
            site_restore.restore_files(settings, tar)
            key = signing_key(settings)
            objects = site_restore.restore_objects(settings, tar)
            if objects:
                say(f"{objects} objects put back into the store")
            say("restoring the database")
            if there is None:
                postgres_programs.restore(settings, _parts_of(tar))
            else:
                with postgres_programs.dump(there) as copy:
                    postgres_programs.restore(settings, copy.chunks())
    return _Restored(manifest, mark, key)


def _refuse_later(manifest: Manifest) -> None:
    if not has_migration(manifest.database.migration):
        raise InvalidRequest(
            f"this backup is of a later version: install {manifest.version} or one after it"
        )


async def _reached(manifest: Manifest, connection: AsyncConnection) -> Manifest:
    """The manifest, of the moment that this recovered database is of."""
    facts = await read_facts(connection)
    last = await connection.scalar(text("SELECT pg_last_xact_replay_timestamp()"))
    facts = facts.model_copy(update={"taken_at": last or manifest.database.taken_at})
    return manifest.model_copy(update={"database": facts})


def _parts_of(tar: TarFile) -> Iterator[bytes]:
    for info in tar:
        if info.name.startswith(DATABASE):
            yield archive.extract(tar, info).read()


async def _continue_numbering(
    settings: Settings,
    engine: AsyncEngine,
    place: Objects,
    done: _Restored,
    actor: Actor,
    say: Say,
) -> None:
    """Have the restored database be the one that goes on: its numbers, its log, its sessions."""
    now, database = datetime.now(UTC), done.manifest.database
    if done.mark is None:
        say(f"{continuity.NUMBERS} IS NOT BESIDE THE BACKUPS: nothing counts the notes of erasures")
    noted_at, given = _last_given(database.taken_at, database.numbers, done.mark)
    years = range(appeals.year_of(database.taken_at), appeals.year_of(now) + 1)
    skipped = numbers_to_skip(given, noted_at=noted_at, now=now, years=years)
    moved = await asyncio.to_thread(move_superseded, settings.audit_heads, database.audit_entry)
    async with unit_of_work(engine) as connection:
        await appeals.skip_numbers(connection, skipped)
        await end_all_sessions(connection)
        detail: dict[str, str | int | bool | None] = {
            "taken_at": database.taken_at.isoformat(),
            "audit_entry": database.audit_entry,
            "heads_superseded": len(moved),
        }
        detail |= {f"numbers_{year:02}_from": last + 1 for year, last in skipped.items()}
        subject = f"backup:{done.manifest.name}"
        await audit_action(connection, actor, BackupAction.RESTORED, subject, detail)
    # At once: another restore of the same backup must not give these numbers again.
    after = NumberMark(at=now, last=skipped)
    await asyncio.to_thread(continuity.write_numbers, place, done.key, after)
    for year, last in skipped.items():
        say(f"numbers of appeals of 20{year:02} go on after {last}")
    if moved:
        say(f"{len(moved)} checkpoints of lost entries moved to {settings.audit_heads}/superseded")


def _last_given(
    taken_at: datetime, numbers: Mapping[int, int], mark: NumberMark | None
) -> tuple[datetime, dict[int, int]]:
    given = dict(numbers)
    if mark is None:
        return taken_at, given
    for year, last in mark.last.items():
        given[year] = max(last, given.get(year, 0))
    return max(taken_at, mark.at), given


async def _count_given(engine: AsyncEngine) -> int:
    async with unit_of_work(engine) as connection:
        return sum((await appeals.read_counters(connection)).values())


async def _repeat_erasures(
    tools: WorkerResources, done: Sequence[Erased], actor: Actor
) -> tuple[int, list[str]]:
    """Each in a transaction of its own, with its audit entry."""
    record_keys = await asyncio.to_thread(RecordKeys.read, tools.settings)
    count, not_here = 0, list[str]()
    for each in done:
        try:
            async with unit_of_work(tools.engine) as connection:
                count += await _repeat(connection, record_keys, each, actor)
        except NotFound as exc:
            not_here.append(str(exc))
    return count, not_here


async def _repeat(
    connection: AsyncConnection, record_keys: RecordKeys, each: Erased, actor: Actor
) -> bool:
    if isinstance(each, MaskedAppeal):
        form = await read_form(connection)
        appeal_id = await repeat_masking(connection, record_keys, form, each)
        if appeal_id is None:
            return False
        row = await appeals.find_by_id(connection, appeal_id)
        number = row.number if row else ""
        await audit_action(
            connection,
            actor,
            AppealAction.RECORD_MASKED,
            f"appeal:{number}",
            {"masking": str(each.masking_id), "again": True},
        )
        return True
    if not await repeat_erasure(connection, each):
        return False
    await audit_action(
        connection,
        actor,
        RecordingAction.ERASURE_APPROVED,
        f"recording:{each.recording_id}",
        {"reason": each.decision, "asked_by": each.asked_by, "again": True},
    )
    return True
