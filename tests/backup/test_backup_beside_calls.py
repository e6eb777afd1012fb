"""A call that talks while a backup is made is whole, and has its end after a restore of it."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from callcenter.backup import restore
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.sipphone.audio import loudness
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.reconciliation import jobs
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.backup.conftest import public_of
from tests.backup.test_backup import made
from tests.backup.test_restore import again, restored, rows
from tests.calls.call_center import (
    CALLER_TONE,
    CONSULTANT_TONE,
    CallCenter,
    kinds,
    last_sound,
    running_call_center,
)
from tests.calls.talking import hears_tone, talking
from tests.polling import until
from tests.recordings.test_sealing_worker import keep, row_of
from tests.services import changed

CALLER = "+77010390001"


@pytest.fixture
async def call_center(
    short_folder: Path,
    database: str,
    redis_url: str,
    built_prompts: Path,
    tmp_path: Path,
    offline_key: Path,
) -> AsyncIterator[CallCenter]:
    """A call center with a place for backups."""
    async with running_call_center(
        short_folder / "beside",
        built_prompts,
        ("line-1",),
        database_url=database,
        redis_url=f"{redis_url}?db=8",
        recordings=tmp_path / "recordings",
        backups=str(tmp_path / "backups"),
        recovery_keys=(public_of(offline_key),),
    ) as running:
        yield running


@pytest.fixture
def empty(call_center: CallCenter, empty_database: str, tmp_path: Path) -> Settings:
    """The settings of an empty machine, with the store and the place of backups of the site."""
    var = tmp_path / "again" / "var"
    return changed(call_center.settings, var=var, database_url=SecretStr(empty_database))


async def is_closed(site: WorkerResources, recording_id: UUID) -> bool:
    """Whether the worker may seal a recording."""
    return (await row_of(site, recording_id)).state == "closed"


async def test_a_call_beside_a_backup_is_whole_and_comes_back(
    call_center: CallCenter, empty: Settings, offline_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = WorkerResources(call_center.settings, call_center.engine)
    async with talking(call_center, CALLER) as talk:
        await until(lambda: call_center.live_appeal(CALLER), "the call is in the register")
        await made(site)
        live = await call_center.live_appeal(CALLER)
        assert live is not None
        assert live.outcome is None
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
    appeal = await call_center.appeal(CALLER)
    assert (appeal.outcome, appeal.number) == ("talked", live.number)
    await call_center.assert_no_resources_left()
    [recording] = await call_center.recordings(appeal)
    left, right = map(last_sound, call_center.recorded(recording))
    assert loudness(left, CALLER_TONE) > -30
    assert loudness(right, CONSULTANT_TONE) > -30
    await until(partial(is_closed, site, recording.id), "the recording is closed")
    await keep(site)
    sealed = await row_of(site, recording.id)
    assert sealed.state == "stored"
    # The machine is lost; the restore is long after, when calls can be judged.
    shutil.copytree(cel_file_of(site.settings).parent, cel_file_of(empty).parent)
    monkeypatch.setattr(jobs, "SWITCH_LIMIT", 0.1)
    monkeypatch.setattr(restore, "CHECK_AFTER", timedelta())
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    here = again(empty)
    try:
        calls = "SELECT number, call_id, outcome FROM appeal"
        assert await rows(here, calls) == [(appeal.number, appeal.call_id, "talked")]
        moments = {kind for (kind,) in await rows(here, "SELECT kind FROM appeal_event")}
        assert set(kinds(CallEvent.CONNECTED, CallEvent.ENDED)) <= moments
        empty.spool.mkdir()
        await keep(here)  # as the worker does when it starts
        found = await row_of(here, recording.id)
        assert (found.state, found.store_name, found.sha256) == (
            "stored",
            sealed.store_name,
            sealed.sha256,
        )
    finally:
        await here.engine.dispose()
