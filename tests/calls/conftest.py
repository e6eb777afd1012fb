"""One call center for all tests of calls, proved empty after each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.calls.call_center import CallCenter, running_call_center
from tests.calls.disposable_stack import (  # noqa: F401
    brief_prompts,
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
    """The call center; after the test nothing of its calls may be left, and all were claimed."""
    await shared_call_center.awake()
    await shared_call_center.end_pauses()
    cel_file = cel_file_of(shared_call_center.settings)
    written = cel_file.stat().st_size if cel_file.exists() else 0
    yield shared_call_center
    await shared_call_center.assert_no_resources_left()
    if cel_file.exists():
        since = cel_file.read_bytes()[written:].splitlines()
        # Who waits for a claim in vain waits as long as a test does, and looks merely late.
        assert [each for each in since if b"FALLBACK_ENTERED" in each and b"TIMEOUT" in each] == []
