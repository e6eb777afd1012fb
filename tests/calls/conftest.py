"""One house for all tests of calls, proved empty after each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.calls.fragile import (  # noqa: F401 fixtures
    fragile,
    fragile_house,
    line,
    postgres_server,
    redis_server,
)
from tests.calls.house import House, open_house
from tests.services import new_database

NEUTRAL = "77172740000"  # what a center may have shown that wants 111 on nobody's telephone


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_house(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[House]:
    with new_database(postgres) as database:
        async with open_house(
            short_folder / "house",
            built_prompts,
            database_url=database,
            redis_url=f"{redis_url}?db=1",
            key_timeout=1.0,
            ring_timeout=2.0,
            wrap_up=0,
            patience=6.0,
            silent_telephone=4,
            unified_ring_timeout=2.0,
            called_ring_timeout=3.0,
            callback_pauses=(1.0,),
            shown_number=NEUTRAL,
            message_pause=1.0,
        ) as house:
            yield house


@pytest_asyncio.fixture(loop_scope="session")
async def house(shared_house: House) -> AsyncIterator[House]:
    """The house; after the test nothing of its calls may be left."""
    await shared_house.awake()
    yield shared_house
    await shared_house.nothing_left()
