"""What the tests of the storage share."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.ledger import jobs
from callcenter.ledger.files import ledger_of
from callcenter.settings import Settings
from callcenter.storage.jobs import Tools
from callcenter.up.ports import with_free_ports
from tests.storage.recorded import AUDIO, BUSY, KILLED, LEFT_A_TALK, REDIRECTED, TALKED, raw


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """A worker's tools with the recorded spool, and a switch that does not answer."""
    monkeypatch.setattr(jobs, "SWITCH_LIMIT", 0.1)
    here = with_free_ports(settings)
    ledger_of(here).parent.mkdir(parents=True)
    here.spool.mkdir(parents=True)
    for call_id in (TALKED, LEFT_A_TALK, KILLED):
        raw(here, call_id).write_bytes(AUDIO)
    for call_id in (REDIRECTED, BUSY):
        raw(here, call_id).write_bytes(b"")
    return Tools(here, engine)
