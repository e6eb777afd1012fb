"""One call center for all tests of calls, proved empty after each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.calls.call_center import CallCenter, running_call_center
from tests.calls.disposable_stack import (  # noqa: F401
    disposable,
    disposable_stack,
    line,
    postgres_server,
    redis_server,
)
from tests.services import new_database

NEUTRAL = "77172740000"  # what a center may have shown that wants 111 on nobody's telephone


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_call_center(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[CallCenter]:
    with new_database(postgres) as database:
        async with running_call_center(
            short_folder / "calls",
            built_prompts,
            database_url=database,
            redis_url=f"{redis_url}?db=1",
            key_timeout=1.0,
            ring_timeout=2.0,
            wrap_up=0,
            patience=6.0,
            silent_telephone=4,
            unified_ring_timeout=5.0,
            called_ring_timeout=3.0,
            callback_pauses=(1.0,),
            shown_number=NEUTRAL,
            trace_legal_basis="Law 000-V, article 1",
        ) as call_center:
            yield call_center


@pytest_asyncio.fixture(loop_scope="session")
async def call_center(shared_call_center: CallCenter) -> AsyncIterator[CallCenter]:
    """The call center; after the test nothing of its calls may be left."""
    await shared_call_center.awake()
    await shared_call_center.end_pauses()
    yield shared_call_center
    await shared_call_center.assert_no_resources_left()
