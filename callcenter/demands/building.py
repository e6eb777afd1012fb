"""Building bundles: what a worker does for each disclosure that has none, and what it removes.

Killed anywhere and repeated: the bundle is put into the store as a whole under the name of its
disclosure, and counts only when the register says so. Nothing plain is on a disk.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from tempfile import TemporaryFile
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.audit.heads import key_from
from callcenter.demands import disclosures, findings, store
from callcenter.demands.bundle import PIECE, Part, encrypt, part_of, read_recipient
from callcenter.demands.disclosures import DisclosureRow
from callcenter.demands.findings import Match
from callcenter.demands.letters import Cover, cover_letter
from callcenter.demands.manifest import Custody, Disclosed, local, manifest, sums
from callcenter.demands.signing import SECRET, UnknownKey, fingerprint
from callcenter.demands.store import DemandRow, StepRow
from callcenter.errors import WeFailed
from callcenter.recordings import store as recordings
from callcenter.recordings.opening import sealed
from callcenter.recordings.store import RecordingRow
from callcenter.recordings.vault import Vault
from callcenter.secrets import read_secret
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects
from callcenter.web.words import length
from callcenter.workdays.calendar import ZONE

Found = tuple[Match, RecordingRow]


async def build(tools: Tools, row: DisclosureRow) -> None:
    """Put the bundle of a disclosure into the store, and note it.

    Raises Differs and what opening a recording raises, and UnknownKey: then nothing is offered;
    StoreFails, NotReady, OSError.
    """
    key = key_from(read_secret(tools.settings.secrets_folder, SECRET), SECRET)
    async with unit_of_work(tools.engine) as connection:
        if not await disclosures.is_known(connection, fingerprint(key)):
            raise UnknownKey
        demand, steps, found = await _contents(connection, row)
        recipient = await disclosures.recipient_of(connection, row.key_id)
    parts = await asyncio.to_thread(_parts, Vault(tools.settings), key, row, demand, steps, found)
    sha256, size = await asyncio.to_thread(_put, tools.settings, row, parts, recipient)
    async with unit_of_work(tools.engine) as connection:
        wanted = await disclosures.built(connection, row, sha256, size)
    if not wanted:  # removed meanwhile
        await remove(tools, row)


async def letter(settings: Settings, engine: AsyncEngine, row: DisclosureRow) -> bytes:
    """The cover letter of a disclosure, byte for byte as it is in its bundle, to be printed."""
    async with unit_of_work(engine) as connection:
        demand, _, found = await _contents(connection, row)
    vault = Vault(settings)
    audio = [_audio(place, vault, each) for place, each in enumerate(found, start=1)]
    key = fingerprint(key_from(read_secret(settings.secrets_folder, SECRET), SECRET))
    number = f"{demand.number}/{row.ordinal}"
    cover = _cover(row, demand, number, audio, found, key)
    return await asyncio.to_thread(cover_letter, cover)


async def remove(tools: Tools, row: DisclosureRow) -> None:
    """Take a bundle out of the store that nobody may have any more. Repeatable."""
    await asyncio.to_thread(Objects(tools.settings.store).remove, row.object_name)
    async with unit_of_work(tools.engine) as connection:
        await disclosures.removed(connection, row)


async def _contents(
    connection: AsyncConnection, row: DisclosureRow
) -> tuple[DemandRow, list[StepRow], list[Found]]:
    demand = await store.by_id(connection, row.demand_id)
    found: list[Found] = []
    for match in await findings.matches(connection, row.demand_id, chosen=True):
        recording = await recordings.find(connection, match.recording_id)
        if recording is None:
            raise WeFailed(f"recording {match.recording_id} is not in the register any more")
        found.append((match, recording))
    return demand, await store.steps(connection, row.demand_id), found


def _parts(
    vault: Vault,
    key: Ed25519PrivateKey,
    row: DisclosureRow,
    demand: DemandRow,
    steps: Sequence[StepRow],
    found: Sequence[Found],
) -> list[Part]:
    """Everything that is signed first, then the recordings, each opened when it is its turn."""
    audio = [_audio(place, vault, each) for place, each in enumerate(found, start=1)]
    number = f"{demand.number}/{row.ordinal}"
    about = {
        "demand": demand.number,
        "letter": f"{demand.letter_number}, {demand.letter_date.isoformat()}",
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
    signed = [
        part_of("manifest.json", listed),
        part_of("manifest.json.sig", key.sign(listed)),
        part_of("letter.pdf", letter),
        *audio,
    ]
    summed = sums({part.name: part.sha256 for part in signed})
    return [
        part_of("SHA256SUMS", summed),
        part_of("SHA256SUMS.sig", key.sign(summed)),
        *signed,
    ]


def _audio(place: int, vault: Vault, found: Found) -> Part:
    match, recording = found
    name, told = sealed(recording)
    return Part(
        f"recordings/{place:04}-{match.appeal_number}.{recording.audio_format}",
        told.audio_bytes,
        told.audio_sha256,
        partial(vault.open, name),
    )


def _disclosed(part: Part, found: Found, steps: Sequence[StepRow]) -> Disclosed:
    match, recording = found
    began, ended = recording.started_at, _end(recording)
    return Disclosed(
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


def _custody(recording: RecordingRow, sha256: str, steps: Sequence[StepRow]) -> list[Custody]:
    """From the first sound to the release, each with its own time."""
    links = [
        Custody(local(recording.started_at), "recorded", "switch", "conversation"),
        Custody(local(_end(recording)), "closed", "switch", "the conversation ended"),
    ]
    if recording.sealed_at is not None:
        sealed_as = f"SHA-256 of the audio {sha256}"
        links.append(Custody(local(recording.sealed_at), "sealed", "system:keeper", sealed_as))
    return links + [Custody(local(each.at), each.step, each.author, each.reason) for each in steps]


def _cover(
    row: DisclosureRow,
    demand: DemandRow,
    number: str,
    audio: Sequence[Part],
    found: Sequence[Found],
    key: str,
) -> Cover:
    return Cover(
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
        released_by=row.released_by.removeprefix("user:"),
    )


def _end(recording: RecordingRow) -> datetime:
    return recording.ended_at or recording.started_at


def _put(
    settings: Settings, row: DisclosureRow, parts: Sequence[Part], recipient: str
) -> tuple[str, int]:
    """SHA-256 in hexadecimal and size of the bundle, which is in the store now."""
    settings.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryFile(dir=settings.spool) as file:  # it has no name: a kill leaves nothing of it
        encrypt(parts, row.released_at, read_recipient(recipient), file)
        told = _told(file)
        file.seek(0)
        Objects(settings.store).put(row.object_name, file)
    return told


def _told(file: BinaryIO) -> tuple[str, int]:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.hexdigest(), file.tell()
