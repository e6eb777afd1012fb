"""Audio laid out in plain for the switch: who hears it is put down, and it does not stay."""

import asyncio
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
import soundfile
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.tables import audit_entry
from callcenter.recordings import laid_out
from callcenter.recordings.age import Altered
from callcenter.recordings.laid_out import Listening, lay_out
from callcenter.recordings.opening import NotStored
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from tests.recordings.test_keeping import keep, recorded, tools  # noqa: F401 (a fixture)

RATE = 8000
LIMIT = 5.0


def two_tones() -> bytes:
    """A second: 440 Hz on the left, 1000 Hz on the right."""
    at = np.arange(RATE) / RATE
    both = np.stack([np.sin(2 * np.pi * 440 * at), np.sin(2 * np.pi * 1000 * at)], axis=1)
    return (both * 8000).astype("<i2").tobytes()


async def stored(tools: Tools) -> UUID:  # noqa: F811
    recording_id = await recorded(tools, two_tones())
    await keep(tools)
    return recording_id


def listening(recording_id: UUID, seconds: float = 30) -> Listening:
    return Listening(recording_id, uuid4(), seconds, "consultant:201")


def files(settings: Settings) -> list[Path]:
    return list(settings.laid_out.iterdir()) if settings.laid_out.is_dir() else []


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not true():
            await asyncio.sleep(0.01)


async def entries(engine: AsyncEngine) -> list[tuple[str, str, str, str]]:
    """Who did what, on what, and why."""
    columns = (audit_entry.c.who, audit_entry.c.action, audit_entry.c.subject)
    why = audit_entry.c.detail["reason"].astext
    async with unit_of_work(engine) as connection:
        return [tuple(row) for row in await connection.execute(select(*columns, why))]


async def test_what_the_caller_says_is_laid_out_for_the_switch_alone_and_put_down(
    tools: Tools,  # noqa: F811
) -> None:
    recording_id = await stored(tools)
    wanted = listening(recording_id)
    assert await lay_out(tools.settings, tools.engine, wanted) == 1.0
    (file,) = files(tools.settings)
    assert file == tools.settings.laid_out / f"{wanted.name}.alaw"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    sound, _ = soundfile.read(file, samplerate=RATE, channels=1, format="RAW", subtype="ALAW")
    spectrum = np.abs(np.fft.rfft(sound))
    assert int(np.argmax(spectrum)) == 440
    assert spectrum[1000] < spectrum[440] / 100
    assert await entries(tools.engine) == [
        (
            "consultant:201",
            "telephone:recording:listened",
            f"recording:{recording_id}",
            "message_offered_on_duty",
        )
    ]
    laid_out.take_away(tools.settings, wanted.name)
    laid_out.take_away(tools.settings, wanted.name)
    assert files(tools.settings) == []


async def test_nothing_is_laid_out_that_is_not_put_down(tools: Tools) -> None:  # noqa: F811
    recording_id = await stored(tools)
    async with tools.engine.begin() as connection:
        await connection.execute(
            text("ALTER TABLE audit_entry ADD CHECK (who <> 'consultant:201')")
        )
    with pytest.raises(Exception, match="violates check constraint"):
        await lay_out(tools.settings, tools.engine, listening(recording_id))
    assert files(tools.settings) == []


@pytest.mark.parametrize("is_there", [True, False])
async def test_what_is_not_stored_is_not_laid_out_and_leaves_no_entry(
    tools: Tools,  # noqa: F811
    is_there: bool,
) -> None:
    recording_id = await recorded(tools) if is_there else uuid4()
    with pytest.raises(NotStored):
        await lay_out(tools.settings, tools.engine, listening(recording_id))
    assert files(tools.settings) == []
    assert await entries(tools.engine) == []


async def test_what_is_not_as_it_was_sealed_is_not_laid_out(tools: Tools) -> None:  # noqa: F811
    recording_id = await stored(tools)
    (file,) = tools.settings.recordings.rglob("*.age")
    sealed = file.read_bytes()
    file.write_bytes(sealed[:-200] + bytes(200))
    with pytest.raises(Altered):
        await lay_out(tools.settings, tools.engine, listening(recording_id))
    assert files(tools.settings) == []


async def test_it_goes_when_its_time_is_over_whoever_laid_it_out(tools: Tools) -> None:  # noqa: F811
    recording_id = await stored(tools)
    await lay_out(tools.settings, tools.engine, listening(recording_id, seconds=-0.9))
    kept = listening(recording_id)
    await lay_out(tools.settings, tools.engine, kept)
    begun, left = (tools.settings.laid_out / f".{name}.alaw" for name in ("begun", "left"))
    for each in (begun, left):
        each.write_bytes(b"what somebody said")
    os.utime(left, (0, time.time() - laid_out.UNFINISHED - 1))
    tidying = asyncio.create_task(laid_out.tidy(tools.settings))
    try:
        expected = {tools.settings.laid_out / f"{kept.name}.alaw", begun}
        await until(lambda: set(files(tools.settings)) == expected)
    finally:
        tidying.cancel()
        await asyncio.wait([tidying])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to another user")
async def test_a_switch_of_another_user_can_read_it(tools: Tools) -> None:  # noqa: F811
    recording_id = await stored(tools)
    tools.settings.laid_out.mkdir(mode=0o700)
    os.chown(tools.settings.laid_out, 61111, 61112)
    await lay_out(tools.settings, tools.engine, listening(recording_id))
    (file,) = files(tools.settings)
    told = file.stat()
    assert (told.st_uid, told.st_gid, stat.S_IMODE(told.st_mode)) == (61111, 61112, 0o600)
