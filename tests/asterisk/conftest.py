"""What the tests on the real Asterisk share."""

from collections.abc import AsyncIterator

import pytest

from callcenter.settings import Settings
from tests.asterisk.switch import PASSWORD, Switch, account, with_free_ports


@pytest.fixture
async def switch(settings: Settings) -> AsyncIterator[Switch]:
    """An Asterisk of this test, with the consultants 1001 and 1002 whose password is PASSWORD."""
    accounts = [account(extension, PASSWORD) for extension in ("1001", "1002")]
    async with Switch(with_free_ports(settings), accounts) as running:
        yield running
