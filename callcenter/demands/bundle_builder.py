"""Builds and removes the bundles of disclosures; run by a worker.

Killed anywhere and repeated: the bundle is put into the store as a whole under the name of its
disclosure, and counts only when the register says so. Nothing plain is on a disk.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from tempfile import TemporaryFile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.demands import disclosures, matches_store, store
from callcenter.demands.bundle_format import BundleFile, encrypt, part_of, read_recipient, sign
from callcenter.demands.disclosures import DisclosureRow
from callcenter.demands.letters import CoverLetter, cover_letter
from callcenter.demands.matches_store import Match
from callcenter.demands.notices import notify_of_bundle
from callcenter.demands.rules.manifest import (
    CustodyEntry,
    DisclosedRecording,
    local,
    manifest,
)
from callcenter.demands.rules.signing import SECRET, UnknownKey, fingerprint
from callcenter.demands.store import DemandRow, Scan, StepRow
from callcenter.platform.audit.rules.checkpoints import key_from
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.i18n import length
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.streams import digest_file
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import name_of
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing.reader import require_sealed
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.store import RecordingRow

Found = tuple[Match, RecordingRow]


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The key that the center signs bundles with."""
    return key_from(read_secret(settings.secrets_folder, SECRET), SECRET)


async def build(tools: WorkerResources, row: DisclosureRow) -> None:
    """Put the bundle of a disclosure into the store, and note it.

    Raises ChecksumMismatch and what opening a recording raises, and UnknownKey: then nothing is
    offered; ObjectStoreUnavailable, DependencyUnavailable, OSError.
    """
    key = signing_key(tools.settings)
    async with unit_of_work(tools.engine) as connection:
        if not await disclosures.is_announced(connection, fingerprint(key)):
            raise UnknownKey
        demand, steps, found = await read_contents(connection, row)
        scan = await store.scan_of(connection, row.demand_id)
        recipient = await disclosures.recipient_of(connection, row.key_id)
    parts = await asyncio.to_thread(
        parts_of, SealedStore(tools.settings), key, row, demand, scan, steps, found
    )
    loop = asyncio.get_running_loop()

    def note(percent: int) -> None:
        asyncio.run_coroutine_threadsafe(_note_progress(tools.engine, row, percent), loop).result()

    sha256, size = await asyncio.to_thread(_put, tools.settings, row, parts, recipient, note)
    async with unit_of_work(tools.engine) as connection:
        is_current = await disclosures.mark_built(connection, row, sha256, size)
        if is_current:
            await notify_of_bundle(connection, demand.id, row.ordinal, demand.hand_over_by)
    if not is_current:  # removed meanwhile
        await remove(tools, row)


async def _note_progress(engine: AsyncEngine, row: DisclosureRow, percent: int) -> None:
    async with unit_of_work(engine) as connection:
        await disclosures.note_progress(connection, row, percent)


async def letter(settings: Settings, engine: AsyncEngine, row: DisclosureRow) -> bytes:
    """The cover letter of a disclosure, byte for byte as it is in its bundle."""
    async with unit_of_work(engine) as connection:
        demand, _, found = await read_contents(connection, row)
    sealed_store = SealedStore(settings)
    audio = [_audio(place, sealed_store, each) for place, each in enumerate(found, start=1)]
    key = fingerprint(signing_key(settings))
    number = f"{demand.number}/{row.ordinal}"
    cover = _cover(row, demand, number, audio, found, key)
    return await asyncio.to_thread(cover_letter, cover)


async def remove(tools: WorkerResources, row: DisclosureRow) -> None:
    """Remove an expired or superseded bundle from the store. Repeatable."""
    await asyncio.to_thread(Objects(tools.settings.store).remove, row.object_name)
    async with unit_of_work(tools.engine) as connection:
        await disclosures.mark_removed(connection, row)


async def read_contents(
    connection: AsyncConnection, row: DisclosureRow
) -> tuple[DemandRow, list[StepRow], list[Found]]:
    demand = await store.by_id(connection, row.demand_id)
    found: list[Found] = []
    for match in await matches_store.matches(connection, row.demand_id, chosen=True):
        recording = await recordings.find(connection, match.recording_id)
        if recording is None:
            raise OperationFailed(f"recording {match.recording_id} is not in the register any more")
        found.append((match, recording))
    return demand, await store.steps(connection, row.demand_id), found


def parts_of(
    sealed_store: SealedStore,
    key: Ed25519PrivateKey,
    row: DisclosureRow,
    demand: DemandRow,
    scan: Scan,
    steps: Sequence[StepRow],
    found: Sequence[Found],
) -> list[BundleFile]:
    """The files of a bundle: everything signed first, then the recordings, opened in turn."""
    audio = [_audio(place, sealed_store, each) for place, each in enumerate(found, start=1)]
    number = f"{demand.number}/{row.ordinal}"
    about = {
        "demand": demand.number,
        "letter": f"{demand.letter_number}, {demand.letter_date.isoformat()}",
        "letter_sha256": scan.sha256,
        "to_kk": demand.sender_kk,
        "to_ru": demand.sender_ru,
        "ground": demand.ground,
        "answer": f"{number}, {local(row.released_at)}",
        "released_by": row.released_by,
        "signed_with": fingerprint(key),
    }
    listed = manifest(
        about,
        [_disclosed(part, each, steps) for part, each in zip(audio, found, strict=True)],
    )
    letter = cover_letter(_cover(row, demand, number, audio, found, fingerprint(key)))
    return sign(key, listed, [part_of("letter.pdf", letter), *audio])


def _audio(place: int, sealed_store: SealedStore, found: Found) -> BundleFile:
    match, recording = found
    name, digests = require_sealed(recording)
    return BundleFile(
        f"recordings/{place:04}-{match.appeal_number}.{recording.audio_format}",
        digests.audio_bytes,
        digests.audio_sha256,
        partial(sealed_store.open, name),
    )


def _disclosed(part: BundleFile, found: Found, steps: Sequence[StepRow]) -> DisclosedRecording:
    match, recording = found
    began, ended = recording.started_at, _end(recording)
    return DisclosedRecording(
        file=part.name,
        sha256=part.sha256,
        bytes=part.bytes,
        appeal=match.appeal_number,
        consultant=match.extension,
        began_at=local(began),
        ended_at=local(ended),
        length_ms=recording.duration_ms or 0,
        custody=_custody(recording, part.sha256, steps),
    )


def _custody(recording: RecordingRow, sha256: str, steps: Sequence[StepRow]) -> list[CustodyEntry]:
    """The chain of custody from the first sound to the release, each link with its time."""
    links = [
        CustodyEntry(local(recording.started_at), "recorded", "switch", "conversation"),
        CustodyEntry(local(_end(recording)), "closed", "switch", "the conversation ended"),
    ]
    if recording.sealed_at is not None:
        sealed_as = f"SHA-256 of the audio {sha256}"
        links.append(CustodyEntry(local(recording.sealed_at), "sealed", "system:keeper", sealed_as))
    return links + [
        CustodyEntry(local(each.at), each.step, each.author, each.reason) for each in steps
    ]


def _cover(
    row: DisclosureRow,
    demand: DemandRow,
    number: str,
    audio: Sequence[BundleFile],
    found: Sequence[Found],
    key: str,
) -> CoverLetter:
    return CoverLetter(
        number=number,
        on=row.released_at.astimezone(ZONE).date(),
        to_kk=demand.sender_kk,
        to_ru=demand.sender_ru,
        letter_number=demand.letter_number,
        letter_date=demand.letter_date,
        recordings=tuple(
            (
                match.appeal_number,
                f"{recording.started_at.astimezone(ZONE):%d.%m.%Y %H:%M:%S}",
                length(_end(recording) - recording.started_at),
                part.sha256,
            )
            for part, (match, recording) in zip(audio, found, strict=True)
        ),
        fingerprint=key,
        released_by=name_of(row.released_by),
    )


def _end(recording: RecordingRow) -> datetime:
    return recording.ended_at or recording.started_at


def _put(
    settings: Settings,
    row: DisclosureRow,
    parts: Sequence[BundleFile],
    recipient: str,
    note: Callable[[int], None],
) -> tuple[str, int]:
    """Put the bundle into the store; returns its SHA-256 in hexadecimal and its size."""
    settings.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryFile(dir=settings.spool) as file:  # it has no name: a kill leaves nothing of it
        encrypt(parts, row.released_at, read_recipient(recipient), file, note)
        digest = digest_file(file)
        file.seek(0)
        Objects(settings.store).put(row.object_name, file)
    return digest
