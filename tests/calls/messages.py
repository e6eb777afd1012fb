"""Messages that are in the store already, and the worker's part in having them heard."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from io import BytesIO
from uuid import UUID, uuid4

import numpy as np
import soundfile
from sqlalchemy import select

from callcenter.appeals import store as appeals
from callcenter.audit.tables import audit_entry
from callcenter.controller.laying_out import AudioDesk
from callcenter.demo.call import Call
from callcenter.line.outcomes import Outcome, Urgency
from callcenter.promises import store
from callcenter.promises.states import State
from callcenter.promises.tables import promise
from callcenter.recordings import store as recordings
from callcenter.recordings.audio import RATE
from callcenter.recordings.store import Settled
from callcenter.recordings.vault import Vault, name_for
from callcenter.storage.engine import unit_of_work, within
from callcenter.worker.audio_keeping import AudioKeeper
from tests.appeals import opened
from tests.calls.fragile import hears_tone
from tests.calls.house import CALLER_TONE, House, until

SECONDS = 2.0  # that a message takes


@asynccontextmanager
async def audio_keeper(house: House) -> AsyncIterator[None]:
    """The worker's part, in this process, known to be there."""
    working = asyncio.create_task(AudioKeeper(house.settings, house.engine, house.redis).run())
    try:
        await AudioDesk(house.settings, house.redis).must_be_there()
        yield
    finally:
        working.cancel()
        await asyncio.wait((working,))


async def left(
    house: House,
    number: str,
    *,
    language: str = "ru",
    urgencies: Sequence[Urgency] = (),
    seconds: float = SECONDS,
    at: datetime | None = None,
) -> UUID:
    """A message that this number left in a call that is over: a tone."""
    recording_id, now = uuid4(), at or datetime.now(UTC)
    name = name_for(recording_id, now)
    vault = Vault(house.settings)
    sealed = await asyncio.to_thread(vault.seal, _said(seconds), name)
    async with unit_of_work(house.engine) as connection:
        appeal_id = await opened(connection, now, number=number)
        change = appeals.Change(appeal_id, language=language, urgent=urgencies)
        await appeals.change_appeals(within(connection), [change])
        await appeals.close_appeal(
            connection, appeal_id=appeal_id, outcome=Outcome.MESSAGE, ended_at=now
        )
        await recordings.begin(
            connection,
            recording_id=recording_id,
            appeal_id=appeal_id,
            consultant_id=None,
            spool_name=f"{recording_id}.raw",
            started_at=now,
        )
        await recordings.close(connection, recording_id=recording_id, ended_at=now)
        milliseconds = round(seconds * 1000)
        kept = Settled(recording_id, "stored", name, **asdict(sealed), duration_ms=milliseconds)
        await recordings.settle(connection, [kept])
        await store.promise_message(
            connection,
            recording_id=recording_id,
            appeal_id=appeal_id,
            language=language,
            urgent=bool(urgencies),
            arrived_at=now,
            promised_at=now,
        )
    return recording_id


def _said(seconds: float) -> BytesIO:
    file = BytesIO()
    at = np.arange(round(seconds * RATE)) / RATE
    said = (np.sin(2 * np.pi * CALLER_TONE * at) * 12000).astype(np.int16)
    soundfile.write(file, np.stack([said, np.zeros_like(said)], axis=1), RATE, format="FLAC")
    return file


async def hears_message(house: House, leg: Call) -> None:
    """Answer, and hear the notice and then the message."""
    await leg.answer()
    leg.send_silence()
    await house.hears(leg, "ru", "hearing_begin")
    await hears_tone(leg, CALLER_TONE)


async def state_of(house: House, message_id: UUID) -> State:
    async with unit_of_work(house.engine) as connection:
        rows = await connection.execute(select(promise.c.state).where(promise.c.id == message_id))
        return State(rows.scalar_one())


async def heard_by(house: House, message_id: UUID) -> list[str]:
    """Who listened to it, as the audit log has it."""
    async with unit_of_work(house.engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.who)
            .where(audit_entry.c.subject == f"recording:{message_id}")
            .order_by(audit_entry.c.id)
        )
        return list(rows.scalars())


async def nothing_lies_there(house: House) -> None:
    """What was laid out has been taken away."""

    async def gone() -> bool:
        folder = house.settings.laid_out
        return not folder.is_dir() or not list(folder.iterdir())

    await until(gone, "the audio has gone")
