"""Restores a site into an empty machine, and catches up with what came since.

Catching up enters calls again that Asterisk's own log has, adopts recordings that the store has,
and masks, closes as no request and erases again what was. It is repeatable, so that a CEL log or a
store that is found later counts too.

Until that is done nobody else uses the database (`progress`), and a restore that was killed goes on
where it was: the dump is restored as a whole or not at all, and each step after it is repeatable.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tarfile import TarFile
from typing import NamedTuple

from pyrage import x25519
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form.store import read_form
from callcenter.appeals.masking.store import MaskedAppeal, repeat_masking
from callcenter.appeals.record.no_request import (
    ChangedSinceRestore,
    ClosedAppeal,
    ReopenedAppeal,
    repeat_closing,
    repeat_reopening,
)
from callcenter.appeals.rules.states import AppealState
from callcenter.backup import archive, continuity, postgres_programs, progress, site_restore
from callcenter.backup.actions import BackupAction
from callcenter.backup.continuity import Erased, NumberMark, Trust
from callcenter.backup.disk_room import find_shortages, require_room
from callcenter.backup.manifest import MANIFEST, Manifest, read_facts
from callcenter.backup.place import open_place
from callcenter.backup.progress import DatabaseNotEmpty, RestoreProgress
from callcenter.backup.recovery import RestoreRequest, recovered
from callcenter.backup.rules import numbers_to_skip
from callcenter.backup.service import DATABASE
from callcenter.backup.signature import signing_key
from callcenter.platform.audit import store as audit
from callcenter.platform.audit.checkpoint_files import find_superseded, move_superseded
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.store import end_all_sessions
from callcenter.platform.storage.database_roles import DatabaseRole, make_roles, password_file
from callcenter.platform.storage.engine import (
    RestoreUnfinished,
    run_once_in_transaction,
    unit_of_work,
)
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.migrate import has_migration, migrate
from callcenter.platform.storage.objects import Objects, ObjectStoreUnavailable
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.formats import Format
from callcenter.recordings.retention.store import ErasedRecording, repeat_erasure
from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.sealed_store import name_for
from callcenter.telephony.calls.journal.spool import pending_spools
from callcenter.telephony.reconciliation.jobs import CHECK_AFTER, account_for_calls, check_calls
from callcenter.telephony.reconciliation.orphaned_objects import Adoption, adopt_since
from callcenter.telephony.reconciliation.rules import Discrepancy

#: Calls that were in progress at the backup had begun before it.
RECONCILED_BEFORE = timedelta(days=1)

Say = Callable[[str], None]


class CatchUp(NamedTuple):
    """The outcome of catching up, with what was left to people."""

    calls: int  #: appeals that were entered again
    adopted: Sequence[Adoption]
    erased: int
    not_here: Sequence[str]  #: what was erased, and is not here
    changed: Sequence[str]  #: what was closed as no request, and has been worked on since
    left: Sequence[Discrepancy]
    undone: Sequence[str]  #: what could not be done now: it is to be run again

    def describe(self) -> list[str]:
        """The outcome, in lines for a person."""
        strangers = [each for each in self.adopted if each.appeal_id is None]
        return [
            f"{self.calls} calls entered again from Asterisk's log",
            f"{len(self.adopted) - len(strangers)} recordings adopted from the store",
            f"{self.erased} maskings and erasures done again",
            *(f"not here to be erased: {each}" for each in self.not_here),
            *(f"was closed as no request, and was changed since: {each}" for each in self.changed),
            *(f"belongs to no recording: {each.name}  {each.why}" for each in strangers),
            *(f"DIFFERS {each.kind} {each.subject}  {each.why}" for each in self.left),
            *(
                f"NOT DONE, run `callcenter restore --catch-up` again: {each}"
                for each in self.undone
            ),
        ]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to people."""
        to_do = (*self.left, *self.changed, *self.not_here, *self.undone)
        return not to_do and all(each.appeal_id for each in self.adopted)


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
    """Restore files, store and database of a backup; after a failure or kill, repeat it.

    The database is for nobody else until `catch_up` is done. The manifest that is returned says
    which moment was reached. Raises InvalidRequest when the database has tables, or of another
    restore, a file is here that differs, or the log does not reach the moment; what `check_backup`
    raises; NotesUnsigned, OperationFailed as when a disk has too little room, DependencyUnavailable
    and OSError.
    """
    begun = await _find_begun(engine, request)
    if begun is None:
        say(f"checking {request.name}")
        begun = await asyncio.to_thread(_restore_all, settings, request, say)
    else:
        say("files and database are restored already: going on from there")
    if any(password_file(settings.secrets_folder, role).exists() for role in DatabaseRole):
        try:
            await asyncio.to_thread(make_roles, settings, replaces_passwords=False)
        except InvalidRequest as exc:  # they can be made later
            say(str(exc))
    # Rights come last: until then no process reads anything, whatever its version, or since when.
    await asyncio.to_thread(migrate, settings, is_restoring=True, gives_rights=False)
    async with unit_of_work(engine) as connection:  # pg_restore leaves no statistics
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("ANALYZE"))
    await _continue_numbering(settings, engine, begun, request.unsigned, actor, say)
    return begun.manifest


async def catch_up(
    tools: WorkerResources,
    actor: Actor,
    extra: Sequence[x25519.Identity] = (),
    *,
    signer: str | None = None,
    unsigned: Collection[str] = (),
) -> CatchUp:
    """Enter again, adopt and erase what came since the backup. Repeatable, safe to kill.

    With it a restore is finished, and processes may use the database.
    `extra` are keys that open the notes of erasures beside those of the center. They must be of
    this signer, by default of this site, but for those in `unsigned`. Raises NotFound without a
    restore, RestoreUnfinished when it is too early, NotesUnsigned and NotesMissing, all before it
    changes anything; DependencyUnavailable, OperationFailed and OSError.
    """
    now = datetime.now(UTC)
    begun, restored_at, since = await _find_restored(tools.engine)
    ring = await asyncio.to_thread(keys.read, tools.settings.keys)
    place, identities = open_place(tools.settings), [*extra, *ring.identities]
    own = Trust.of_key(await asyncio.to_thread(signing_key, tools.settings)).signer
    trust = Trust((signer or own).lower(), unsigned)
    done = await asyncio.to_thread(
        continuity.read_erasures, place, since.date(), now.date(), identities, trust
    )
    before = await _count_given(tools.engine)
    await account_for_calls(tools, timedelta())
    adopted, left, undone = list[Adoption](), list[Discrepancy](), list[str]()
    if await asyncio.to_thread(pending_spools, tools.settings.journals):
        undone.append(
            "calls of which journals wait for the database are not entered, and nothing is mended"
        )
    try:
        adopted = await adopt_since(tools, since.date(), actor)
        found, repaired = await check_calls(
            tools, since=since - RECONCILED_BEFORE, until=max(now - CHECK_AFTER, since), repair=True
        )
        left = [each for each in found if each not in repaired]
    except ObjectStoreUnavailable as exc:  # callers do not wait for it: it is repeatable
        undone.append(f"recordings are not compared with the store: {exc}")
    calls = await _count_given(tools.engine) - before
    again = await _repeat_erasures(tools, done, actor, restored_at)
    if begun is not None:
        await asyncio.to_thread(migrate, tools.settings, is_restoring=True)
        async with unit_of_work(tools.engine) as connection:
            await progress.end(connection)
    return CatchUp(calls, adopted, *again, left, undone)


async def _find_restored(engine: AsyncEngine) -> tuple[RestoreProgress | None, datetime, datetime]:
    """The restore if it is unfinished, when this database was restored, to which moment."""
    async with unit_of_work(engine) as connection:
        begun = await progress.find(connection)
        if begun is not None and not begun.is_renumbered:
            raise RestoreUnfinished
        restored = await audit.list_newest(connection, BackupAction.RESTORED, 1)
    if not restored:
        raise NotFound("this database was never restored from a backup")
    return begun, restored[0].at, datetime.fromisoformat(str(restored[0].detail["taken_at"]))


async def _find_begun(engine: AsyncEngine, request: RestoreRequest) -> RestoreProgress | None:
    """The restore of this backup that was killed after it had restored the database.

    Raises InvalidRequest when the database has tables and this did not make them.
    """
    async with unit_of_work(engine) as connection:
        if not await progress.has_tables(connection):
            return None  # what was begun left nothing in it
        begun = await progress.find(connection)
        if begun is None:
            raise DatabaseNotEmpty
        here = await read_facts(connection)
    if (begun.manifest.name, begun.moment) != (request.name, request.moment):
        to = f" --to {begun.moment:%Y-%m-%dT%H:%M:%S.%f}" if begun.moment else ""
        raise InvalidRequest(
            f"this database is half restored from another backup or moment: go on with "
            f"`callcenter restore {begun.manifest.name}{to}`, or restore into a new one"
        )
    archive.check_signer(begun.signer, request.signer)
    whole = begun.manifest.database
    is_whole = (here.audit_entry, here.numbers) == (whole.audit_entry, whole.numbers)
    if not (is_whole or begun.is_renumbered):
        raise InvalidRequest(
            "what is in the database is not of this backup: somebody filled it meanwhile; restore "
            "into a new one"
        )
    return begun


def _restore_all(settings: Settings, request: RestoreRequest, say: Say) -> RestoreProgress:
    """The database last: while it is empty all of this may be repeated.

    In one opening, so that what is restored is what was checked. Whoever connects meanwhile is
    refused already: the check takes long.
    """
    place, refused = open_place(settings), ExitStack()
    progress.begin(settings)
    refused.callback(progress.give_up, settings)
    with refused, archive.decrypted(place, request.name, [request.identity]) as tar:
        progress.require_alone(settings)
        signed_by = archive.verify(tar, request.signer)
        manifest = Manifest.parse(archive.read(tar, MANIFEST))
        _refuse_later(manifest)
        continuity.read_numbers(place, Trust(signed_by, request.unsigned))  # or refuse
        site_restore.check_conflicts(settings, archive.read_sums(tar))
        needed = list(_room_needed(settings, tar, manifest))
        require_room(needed)
        if settings.database_url is None:  # what it took then, with what was deleted in it
            needed.append((settings.postgres_folder, manifest.database.bytes))
            for each in find_shortages(needed):
                say(f"{each} if the database takes what it took: it may not end")
        log_of_signer = replace(request, signer=signed_by)
        base = recovered(settings, place, log_of_signer, manifest, _parts_of(tar), say)
        with nullcontext() if manifest.server is None else base as there:
            if there is not None:
                manifest = asyncio.run(run_once_in_transaction(there, partial(_reached, manifest)))
                _refuse_later(manifest)
            begun = RestoreProgress(manifest=manifest, moment=request.moment, signer=signed_by)
            progress.fill_in(settings, begun)
            refused.pop_all()
            say("restoring files")
            site_restore.restore_files(settings, tar)
            objects = site_restore.restore_objects(settings, tar)
            if objects:
                say(f"{objects} objects put back into the store")
            say("restoring the database")
            if there is None:
                postgres_programs.restore(settings, _parts_of(tar))
            else:
                with postgres_programs.dump(there) as copy:
                    postgres_programs.restore(settings, copy.chunks())
    return begun


def _room_needed(
    settings: Settings, tar: TarFile, manifest: Manifest
) -> Iterator[tuple[Path, int]]:
    """The bytes that are written on this machine beside the database, with their folder."""
    yield from site_restore.room_needed(settings, tar)
    if manifest.server is not None:
        parts = (info.size for info in tar if info.name.startswith(DATABASE))
        yield settings.packing, sum(parts)


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
    begun: RestoreProgress,
    unsigned: Collection[str],
    actor: Actor,
    say: Say,
) -> None:
    """Have the restored database be the one that goes on: its numbers, its log, its sessions."""
    place, now, database = open_place(settings), datetime.now(UTC), begun.manifest.database
    superseded = await asyncio.to_thread(
        find_superseded, settings.audit_heads, database.audit_entry
    )
    if not begun.is_renumbered:
        trust = Trust(begun.signer, unsigned)
        mark = await asyncio.to_thread(continuity.read_numbers, place, trust)
        if mark is None:
            say(
                f"{continuity.NUMBERS} IS NOT BESIDE THE BACKUPS: nothing counts the notes of "
                "erasures"
            )
        await _renumber(engine, begun, mark, now, len(superseded), actor)
    async with unit_of_work(engine) as connection:
        given = await appeals.read_counters(connection)
    # At once: another restore of the same backup must not give these numbers again.
    key = await asyncio.to_thread(signing_key, settings)
    await asyncio.to_thread(continuity.write_numbers, place, key, NumberMark(at=now, last=given))
    await asyncio.to_thread(move_superseded, superseded)
    for year in _years(database.taken_at, now):
        say(f"numbers of appeals of 20{year:02} go on after {given[year]}")
    if superseded:
        say(
            f"{len(superseded)} checkpoints of lost entries moved to "
            f"{settings.audit_heads}/superseded"
        )


async def _renumber(
    engine: AsyncEngine,
    begun: RestoreProgress,
    mark: NumberMark | None,
    now: datetime,
    superseded: int,
    actor: Actor,
) -> None:
    """Have numbers go on after those that may be given, and end all sessions: both or nothing."""
    database = begun.manifest.database
    noted_at, given = _last_given(database.taken_at, database.numbers, mark)
    years = _years(database.taken_at, now)
    skipped = numbers_to_skip(given, noted_at=noted_at, now=now, years=years)
    detail: dict[str, str | int | bool | None] = {
        "taken_at": database.taken_at.isoformat(),
        "audit_entry": database.audit_entry,
        "heads_superseded": superseded,
    }
    detail |= {f"numbers_{year:02}_from": last + 1 for year, last in skipped.items()}
    subject = f"backup:{begun.manifest.name}"
    async with unit_of_work(engine) as connection:
        await appeals.skip_numbers(connection, skipped)
        await end_all_sessions(connection)
        await progress.save(connection, begun.model_copy(update={"is_renumbered": True}))
        await audit_action(connection, actor, BackupAction.RESTORED, subject, detail)


def _years(taken_at: datetime, now: datetime) -> range:
    """The years, in two digits, of appeals from the backup until now."""
    return range(appeals.year_of(taken_at), appeals.year_of(now) + 1)


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
    tools: WorkerResources, done: Sequence[Erased], actor: Actor, restored_at: datetime
) -> tuple[int, list[str], list[str]]:
    """Each in a transaction of its own, with its audit entry.

    Returns how many, what is not here, and what was changed since the restore.
    """
    record_keys = await asyncio.to_thread(RecordKeys.read, tools.settings)
    sealed_as = Format(tools.settings.recordings_format)
    count, not_here, changed = 0, list[str](), list[str]()
    for each in sorted(done, key=_done_at):
        try:
            async with unit_of_work(tools.engine) as connection:
                if isinstance(each, ErasedRecording):
                    count += await _erase_again(connection, sealed_as, each, actor)
                else:
                    count += await _repeat(connection, record_keys, each, actor, restored_at)
        except NotFound as exc:
            not_here.append(str(exc))
        except ChangedSinceRestore as exc:
            changed.append(str(exc))
    return count, not_here, changed


def _done_at(each: Erased) -> datetime:
    match each:
        case ClosedAppeal():
            return each.closed_at
        case ReopenedAppeal():
            return each.reopened_at
        case _:
            return each.decided_at


async def _erase_again(
    connection: AsyncConnection, sealed_as: Format, each: ErasedRecording, actor: Actor
) -> bool:
    name_of = partial(name_for, each.recording_id, written=sealed_as)
    if not await repeat_erasure(connection, each, name_of):
        return False
    await audit_action(
        connection,
        actor,
        RecordingAction.ERASURE_APPROVED,
        f"recording:{each.recording_id}",
        {"reason": each.decision, "asked_by": each.asked_by, "again": True},
    )
    return True


async def _repeat(
    connection: AsyncConnection,
    record_keys: RecordKeys,
    each: MaskedAppeal | ClosedAppeal | ReopenedAppeal,
    actor: Actor,
    restored_at: datetime,
) -> bool:
    form = await read_form(connection)
    detail: dict[str, str | int | bool | None]
    match each:
        case MaskedAppeal():
            appeal_id = await repeat_masking(connection, record_keys, form, each)
            action, detail = AppealAction.RECORD_MASKED, {"masking": str(each.masking_id)}
        case ClosedAppeal():
            appeal_id = await repeat_closing(connection, record_keys, form, each, restored_at)
            action, detail = AppealAction.RECORD_MOVED, {"after": AppealState.NO_REQUEST.value}
        case ReopenedAppeal():
            appeal_id = await repeat_reopening(connection, record_keys, each)
            action, detail = AppealAction.RECORD_MOVED, {"after": AppealState.CONTACT.value}
    if appeal_id is None:
        return False
    row = await appeals.find_by_id(connection, appeal_id)
    subject = f"appeal:{row.number if row else ''}"
    await audit_action(connection, actor, action, subject, {**detail, "again": True})
    return True
