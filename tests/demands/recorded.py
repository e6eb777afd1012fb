"""Conversations of the register, for demands that mean them."""

import io
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import soundfile
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.consultants.tables import consultant
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings import store
from callcenter.recordings.formats import Format
from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.audio import WRITTEN_AS
from callcenter.recordings.sealing.sealed_store import SealedStore, name_for
from callcenter.recordings.store import SealResult
from callcenter.recordings.tables import recording
from tests.seeds import numpy_generator

CALLER = "+77012345667"
TALKED_AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


async def talk(
    engine: AsyncEngine,
    *,
    caller: str = CALLER,
    extension: str | None = "2001",
    at: datetime = TALKED_AT,
    state: str = "stored",
) -> tuple[str, UUID]:
    """A conversation of five minutes: the appeal's number, and the recording."""
    appeal_id, recording_id = uuid4(), uuid4()
    stored = state == "stored"
    async with unit_of_work(engine) as connection:
        number = await appeals.open_appeal(
            connection,
            appeal_id=appeal_id,
            call_id=str(appeal_id),
            channel="call",
            caller_kind="number",
            caller_number=caller,
            received_at=at,
        )
        await connection.execute(
            insert(recording).values(
                id=recording_id,
                appeal_id=appeal_id,
                consultant_id=await _consultant(connection, extension),
                spool_name=f"{recording_id}.raw",
                state=state,
                started_at=at,
                ended_at=at + timedelta(minutes=5),
                sha256="0" * 64 if stored else None,
                store_name=f"{recording_id}" if stored else None,
                bytes=1 if stored else None,
                duration_ms=300_000 if stored else None,
            )
        )
    return number, recording_id


async def _consultant(connection: AsyncConnection, extension: str | None) -> UUID | None:
    if extension is None:
        return None
    query = select(consultant.c.id).where(consultant.c.extension == extension)
    existing: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    if existing is not None:
        return existing
    made = uuid4()
    await connection.execute(
        insert(consultant).values(
            id=made, extension=extension, name="Айгүл", languages=["kk"], digest="-"
        )
    )
    return made


async def sealed_talk(
    settings: Settings, engine: AsyncEngine, stored_in: Format = Format.FLAC
) -> tuple[str, UUID]:
    """A conversation whose audio is in the store, sealed."""
    number, recording_id = await talk(engine, state="closed")
    settings.spool.mkdir(parents=True, exist_ok=True)
    name = name_for(recording_id, TALKED_AT, stored_in)
    if not any(settings.keys.glob("recordings/*.key")):
        keys.make(settings.keys)
    sound = io.BytesIO()
    samples = numpy_generator(1).normal(0, 0.1, (40_000, 2))
    soundfile.write(sound, samples, 8000, **WRITTEN_AS[stored_in])
    reported = SealedStore(settings).seal(sound, name)
    async with unit_of_work(engine) as connection:
        settled = SealResult(
            recording_id,
            "stored",
            name,
            reported.sha256,
            reported.bytes,
            reported.audio_sha256,
            reported.audio_bytes,
            reported.sealed_to,
            300_000,
        )
        await store.settle(connection, [settled])
    return number, recording_id
