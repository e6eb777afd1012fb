"""One Asterisk for all tests of the telephone."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from callcenter.sipphone.phone import Phone
from tests.sipphone.exchange import Exchange, exchange
from tests.sipphone.telephones import consultants_phone


@pytest.fixture(scope="session")
def running_exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture
async def switch(running_exchange: Exchange) -> AsyncIterator[Exchange]:
    """The Asterisk, which must have no channel left when the test is over."""
    yield running_exchange
    deadline = time.monotonic() + 10
    while await asyncio.to_thread(running_exchange.has_channels):
        assert time.monotonic() < deadline, running_exchange.cli("core show channels concise")
        await asyncio.sleep(0.05)


@pytest.fixture
async def caller(switch: Exchange) -> AsyncIterator[Phone]:
    async with Phone(server=switch.server) as phone:
        yield phone


@pytest.fixture
async def consultant(switch: Exchange) -> AsyncIterator[Phone]:
    async with consultants_phone(switch) as phone:
        await phone.register()
        yield phone
