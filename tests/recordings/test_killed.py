"""Who seals or copies is killed after any step: nothing is lost, and the next goes on cleanly."""

import obstore
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import jobs, store
from tests.process_killers import dies_after, dies_before
from tests.recordings.test_erasure import verified
from tests.recordings.test_sealing_worker import (
    AUDIO,
    environment,
    is_stored,
    keep,
    recorded,
    row_of,
    tools,
)
from tests.recordings.test_stores import copy_all, in_bucket, on_s3
from tests.s3 import S3Server

pytestmark = pytest.mark.slow

__all__ = ["tools"]

KEEP = """
import asyncio
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.engine import open_database

settings = read_settings()
asyncio.run(SealingWorker(settings, open_database(settings)).seal_closed())
"""
COPY = """
import asyncio, time
from callcenter.recordings.jobs import copy_stored
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.jobs import WorkerResources

settings = read_settings()
tools = WorkerResources(settings, open_database(settings))
asyncio.run(copy_stored(tools, until=time.monotonic() + 30))
"""
STEPS = [
    "callcenter.recordings.store.list_closed",
    "callcenter.recordings.sealing.audio.soundfile.SoundFile.write",
    "callcenter.recordings.sealing.audio.write_encoded",
    "callcenter.recordings.sealing.audio.verify_encoded",
    "callcenter.recordings.sealing.audio.encode",
    "callcenter.recordings.sealing.sealed_store.pyrage.encrypt_io",
    "callcenter.platform.storage.objects.obstore.put",
    "callcenter.platform.storage.objects.sync_to_disk",
    "callcenter.platform.storage.objects.Objects.put",
    "callcenter.recordings.sealing.sealed_store.pyrage.decrypt_io",
    "callcenter.recordings.sealing.sealed_store.SealedStore.check",
    "callcenter.recordings.sealing.sealed_store.SealedStore.seal",
    "callcenter.recordings.store.settle",
    "callcenter.recordings.sealing.worker.SealingWorker.seal_all",
    "callcenter.recordings.sealing.worker.SealingWorker.remove_raw",
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_killed_after_any_step_loses_nothing(
    tools: WorkerResources, step: str
) -> None:
    recording_id = await recorded(tools)
    await dies_after(step, KEEP, env=environment(tools.settings))
    await keep(tools)
    await is_stored(tools, recording_id)


@pytest.mark.parametrize("step", ["is_store_available", "seal_all", "remove_raw"])
async def test_a_worker_killed_right_before_a_step_loses_nothing(
    tools: WorkerResources, step: str
) -> None:
    """As when the register knows already that it is stored, and the raw file is there still."""
    recording_id = await recorded(tools)
    at = f"callcenter.recordings.sealing.worker.SealingWorker.{step}"
    await dies_before(at, KEEP, env=environment(tools.settings))
    existing = (await row_of(tools, recording_id)).state
    assert existing == ("stored" if step == "remove_raw" else "closed")
    assert (tools.settings.spool / f"{recording_id}.raw").read_bytes() == AUDIO
    await keep(tools)
    await is_stored(tools, recording_id)


async def test_a_worker_killed_between_two_raw_files_leaves_none_behind(
    tools: WorkerResources,
) -> None:
    both = [await recorded(tools), await recorded(tools)]
    await dies_after("pathlib.Path.unlink", KEEP, env=environment(tools.settings))
    assert {(await row_of(tools, each)).state for each in both} == {"stored"}
    assert len(list(tools.settings.spool.iterdir())) == 1
    await keep(tools)
    assert list(tools.settings.spool.iterdir()) == []
    assert await verified(tools) == {}


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.platform.storage.objects.obstore.put",
        "callcenter.recordings.sealing.sealed_store.pyrage.decrypt_io",
        "callcenter.recordings.store.settle",
        "callcenter.recordings.sealing.worker.SealingWorker.remove_raw",
    ],
)
async def test_a_kill_while_sealing_into_a_bucket_loses_nothing(
    settings: Settings, engine: AsyncEngine, s3: S3Server, step: str
) -> None:
    tools = WorkerResources(on_s3(settings, s3), engine)
    recording_id = await recorded(tools)
    place = tools.settings.recordings_url
    assert place is not None
    bucket = {"CALLCENTER_RECORDINGS_URL": place.get_secret_value()}
    await dies_after(step, KEEP, env=environment(tools.settings) | bucket)
    await keep(tools)
    row = await row_of(tools, recording_id)
    assert row.state == "stored"
    assert list(tools.settings.spool.iterdir()) == []
    names = [each["path"] for page in obstore.list(in_bucket(tools, s3)) for each in page]
    assert names == [f"kept/{row.store_name}"]
    assert await verified(tools) == {}


@pytest.mark.parametrize(
    "step",
    [
        "callcenter.recordings.jobs.store.list_to_copy",
        "callcenter.platform.storage.objects.Objects.put",
        "callcenter.recordings.sealing.sealed_store.SealedStore.check_object",
        "callcenter.recordings.sealing.sealed_store.SealedStore.copy_to",
        "callcenter.recordings.jobs.store.mark_copied",
    ],
)
@pytest.mark.parametrize("erased", [False, True])
async def test_killed_while_copying_the_next_copies_or_removes(
    settings: Settings, engine: AsyncEngine, step: str, erased: bool
) -> None:
    settings.spool.mkdir(parents=True)
    copies = settings.var / "copies"
    tools = WorkerResources(
        settings.model_copy(update={"recordings_copy": SecretStr(str(copies))}), engine
    )
    recording_id = await recorded(tools)
    await keep(tools)
    second = {"CALLCENTER_RECORDINGS_COPY": str(copies)}
    await dies_after(step, COPY, env=environment(tools.settings) | second)
    assert list(settings.spool.iterdir()) == []
    if erased:
        async with unit_of_work(engine) as connection:
            await connection.execute(text("UPDATE recording SET state = 'erased'"))
        await jobs.remove_erased(tools)
    await copy_all(tools)
    assert len(list(copies.rglob("*.age"))) == (0 if erased else 1)
    async with unit_of_work(engine) as connection:
        assert erased or await store.copied_ids(connection, [recording_id]) == {recording_id}
    assert await verified(tools) == {}
