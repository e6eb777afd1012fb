"""Makes a backup: database, files and store of one moment, in one archive.

It is encrypted to the keys whose private part is kept elsewhere (CALLCENTER_RECOVERY_KEYS), so
that nobody on this machine can open it later. It is read back before it counts.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.backup import log_archive, postgres_programs, site_files
from callcenter.backup.actions import BackupAction
from callcenter.backup.archive import Member
from callcenter.backup.archive_writer import refuse_without_key, write_archive
from callcenter.backup.disk_room import find_shortages, require_room
from callcenter.backup.manifest import (
    MANIFEST,
    DatabaseFacts,
    Manifest,
    StoreFacts,
    read_facts,
    read_server,
)
from callcenter.backup.place import list_backups, name_of
from callcenter.backup.postgres_programs import DatabaseCopy
from callcenter.platform.audit.checkpoint_files import CHECKPOINTS
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.objects import ObjectMissing, Objects
from callcenter.recordings import store as recordings

LIST = "store.jsonl"
DATABASE = "database/"  #: and five digits: the parts of the dump, or base backup, in their order
STORE = "store/"  #: and the name of an object
BATCH = 1000  # objects whose hashes are looked up at once
PROGRESS_INTERVAL = 256 * 1024**2  # bytes

Say = Callable[[str], None]


async def back_up(
    settings: Settings,
    engine: AsyncEngine,
    place: Objects,
    actor: Actor,
    *,
    with_store: bool,
    say: Say,
    settings_folder: Path | None = None,
) -> Manifest:
    """Make a backup in this place, and read it back.

    `settings_folder` has environment files of units, for the backup to hold. A backup that is cut
    short leaves nothing. Raises InvalidRequest without a key to encrypt to, DamagedBackup when it
    is not there as it was written, OperationFailed as when a disk has too little room,
    DependencyUnavailable and OSError.
    """
    is_continuous, server = settings.backup_method == "continuous", None
    refuse_without_key(settings)
    settings.packing.mkdir(mode=0o700, parents=True, exist_ok=True)
    newest = await asyncio.to_thread(_newest_size, settings, place)
    for each in find_shortages(_places(settings, newest)):
        say(f"{each} if it is as large as the newest: it may not end")
    if is_continuous:  # before the base backup: the log from its beginning on will be archived
        await asyncio.to_thread(log_archive.prepare, settings)
    # Before the snapshot: a later checkpoint would speak of entries that the dump does not have.
    checkpoints = await asyncio.to_thread(_read_checkpoints, settings)
    async with unit_of_work(engine) as connection:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        facts = await read_facts(connection)
        if is_continuous:
            server = await read_server(connection)
            copy = postgres_programs.base_backup(settings)
        else:
            snapshot = await connection.scalar(text("SELECT pg_export_snapshot()"))
            copy = postgres_programs.dump(settings, f"--snapshot={snapshot}")
        try:
            await asyncio.to_thread(copy.wait_for_snapshot)
        except BaseException:
            copy.end()
            raise
    with copy, TemporaryFile(dir=settings.packing) as listing:
        say(f"database: snapshot of {facts.taken_at:%Y-%m-%d %H:%M:%S} UTC")
        store = await _list_store(settings, engine, listing)
        say(f"store: {store.objects} objects, {store.bytes / 1024**2:.0f} MiB")
        require_room(_places(settings, store.bytes if with_store else 0))
        _warn_of_missing(facts, store, say)
        manifest = Manifest(
            format=2 if server else 1,
            name=name_of(facts.taken_at),
            database=facts,
            server=server,
            store=store.model_copy(update={"included": with_store}),
        )
        members = _members(settings, manifest, checkpoints, copy, listing, settings_folder)
        await asyncio.to_thread(
            write_archive, settings, place, manifest.name, _with_progress(members, say), say
        )
    async with unit_of_work(engine) as connection:
        await audit_action(connection, actor, BackupAction.MADE, f"backup:{manifest.name}")
    if not is_continuous:
        await asyncio.to_thread(log_archive.end, settings)
    return manifest


def _newest_size(settings: Settings, place: Objects) -> int:
    """Bytes of the newest archive, as large as the next if it holds the same; 0 without any."""
    folder = settings.backup_store
    if isinstance(folder, Path) and not folder.exists():
        return 0  # to list what it has would make it
    backups = list_backups(place)
    return backups[-1].size if backups else 0


def _places(settings: Settings, size: int) -> list[tuple[Path, int]]:
    """The folders that an archive of this size takes: it is packed, and put into a place."""
    place = settings.backup_store
    folders = [settings.packing, *([place] if isinstance(place, Path) else [])]
    return [(folder, size) for folder in folders]


def _read_checkpoints(settings: Settings) -> list[Member]:
    return [
        Member(each.name, each.size, list(each.content), each.modified_at)
        for each in site_files.members(settings, CHECKPOINTS.key)
    ]


async def _list_store(settings: Settings, engine: AsyncEngine, listing: IO[bytes]) -> StoreFacts:
    """Write the list of all objects, with the hash of each that the register knows."""
    objects, size, hashed = 0, 0, 0
    found = Objects(settings.store).list_objects("")
    while batch := await asyncio.to_thread(lambda: list(itertools.islice(found, BATCH))):
        async with unit_of_work(engine) as connection:
            hashes = await recordings.find_hashes(connection, [each.name for each in batch])
        for each in batch:
            line = {"name": each.name, "bytes": each.size, "sha256": hashes.get(each.name)}
            listing.write(json.dumps(line).encode() + b"\n")
        objects += len(batch)
        size += sum(each.size for each in batch)
        hashed += len(hashes)
    return StoreFacts(objects=objects, bytes=size, recordings=hashed)


def _warn_of_missing(facts: DatabaseFacts, store: StoreFacts, say: Say) -> None:
    missing = facts.recordings - store.recordings
    if missing > 0:
        say(
            f"{missing} recordings of the register have no object in the store: "
            "see `callcenter recordings verify`"
        )


def _members(
    settings: Settings,
    manifest: Manifest,
    checkpoints: list[Member],
    copy: DatabaseCopy,
    listing: IO[bytes],
    settings_folder: Path | None,
) -> Iterator[Member]:
    yield Member.of_bytes(MANIFEST, manifest.model_dump_json(indent=1).encode())
    for number, chunk in enumerate(copy.chunks()):
        yield Member.of_bytes(f"{DATABASE}{number:05}", chunk)
    yield from checkpoints
    for name in site_files.folders(settings):
        if name != CHECKPOINTS.key:
            yield from site_files.members(settings, name)
    yield from site_files.settings_members(settings, settings_folder)
    size = listing.tell()
    listing.seek(0)
    yield Member.of_file(LIST, listing, size, 0)  # type: ignore[arg-type]  # an IO[bytes]
    if manifest.store.included:
        listing.seek(0)
        for line in listing:
            each = json.loads(line)
            yield from _object_member(Objects(settings.store), each["name"])


def _object_member(store: Objects, name: str) -> Iterator[Member]:
    with suppress(ObjectMissing):  # erased since it was listed
        yield Member(f"{STORE}{name}", store.size(name), store.stream(name))


def _with_progress(members: Iterator[Member], say: Say) -> Iterator[Member]:
    """The members, telling now and then how far it is."""
    done = reported = 0
    for member in members:
        yield member
        done += member.size
        if done - reported >= PROGRESS_INTERVAL:
            reported = done
            say(f"{done / 1024**2:.0f} MiB packed, at {member.name}")
