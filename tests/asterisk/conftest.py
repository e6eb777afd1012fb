"""Fixtures of the tests on a real Asterisk."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ami import Ami, Fields
from tests.asterisk.connected_node import ConnectedNode, answering
from tests.asterisk.switch import PASSWORD, Switch, account, with_free_ports
from tests.protocol.bare_asterisk import SECRET, BareAsterisk, bare_asterisk


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
    """Fail a test that leaves a task of asyncio running."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


@pytest.fixture
async def user_events() -> list[Fields]:
    """User events that the dialplan sends after Stasis."""
    return []


@pytest.fixture
async def ami(asterisk: BareAsterisk, user_events: list[Fields]) -> AsyncIterator[Ami]:
    ami = Ami(port=asterisk.ami_port, secret=SECRET)
    ami.on_event("UserEvent", user_events.append)
    async with ami:
        await ami.ready(20)
        yield ami


@pytest.fixture
async def controller(asterisk: BareAsterisk, ami: Ami) -> AsyncIterator[ConnectedNode]:
    one = ConnectedNode(asterisk, ami)
    async with answering(one):
        yield one
