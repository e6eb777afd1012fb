"""What the tests on the real Asterisk share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callcenter.asterisk.ami import Ami, Fields
from callcenter.settings import Settings
from tests.asterisk.line import Line, answering
from tests.asterisk.switch import PASSWORD, Switch, account, with_free_ports
from tests.protocol.bare_asterisk import SECRET, USER, BareAsterisk, bare_asterisk


@pytest.fixture
async def switch(settings: Settings) -> AsyncIterator[Switch]:
    """An Asterisk of this test, with the consultants 1001 and 1002 whose password is PASSWORD."""
    accounts = [account(extension, PASSWORD) for extension in ("1001", "1002")]
    async with Switch(with_free_ports(settings), accounts) as running:
        yield running


@pytest.fixture
async def asterisk(tmp_path: Path) -> AsyncIterator[BareAsterisk]:
    """An Asterisk without SIP, for tests of the clients of ARI and AMI."""
    async with bare_asterisk(tmp_path) as running:
        yield running


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Fails a test that leaves a task of asyncio running."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


@pytest.fixture
async def told() -> list[Fields]:
    """What the dialplan told after Stasis."""
    return []


@pytest.fixture
async def ami(asterisk: BareAsterisk, told: list[Fields]) -> AsyncIterator[Ami]:
    async with Ami(
        port=asterisk.ami_port, user=USER, secret=SECRET, events={"UserEvent": told.append}
    ) as connected:
        await connected.ready(20)
        yield connected


@pytest.fixture
async def line(asterisk: BareAsterisk, ami: Ami) -> AsyncIterator[Line]:
    one = Line(asterisk, ami)
    async with answering(one):
        yield one
