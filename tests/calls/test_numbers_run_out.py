"""A year has no number left for an appeal: callers are served and recorded all the same."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from callcenter.appeals.rules.number import LAST_SEQUENCE
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.calls.journal.spool import quarantined_files
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.reconciliation import orphaned_files
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests.appeals import numbers_given
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import connected
from tests.calls.processes import ControllerProgram
from tests.polling import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def given(call_center: CallCenter, last: int) -> None:
    async with unit_of_work(call_center.engine) as connection:
        await numbers_given(connection, last, datetime.now(UTC))


@pytest_asyncio.fixture(loop_scope="session")
async def without_numbers(
    disposable: CallCenter, line: ControllerProgram
) -> AsyncIterator[CallCenter]:
    """A call center whose controller has one number left to give; what is aside is removed."""
    await given(disposable, LAST_SEQUENCE - 1)
    yield disposable
    await given(disposable, LAST_SEQUENCE // 2)  # none of them was given
    for file in quarantined_files(disposable.settings.journals):
        file.unlink()


async def test_callers_are_served_when_numbers_run_out(
    without_numbers: CallCenter, line: ControllerProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_center = without_numbers
    callers = [f"+770200004{number}0" for number in range(3)]
    async with call_center.consultant("201") as consultant:
        for number in callers:
            async with call_center.caller(number) as caller:
                leg = await connected(call_center, caller, consultant)
                await leg.hang_up()
                await caller.ended()
        assert (await call_center.appeal(callers[0])).outcome == Outcome.TALKED
    assert not line.has_ended
    assert await call_center.live_appeal(callers[1]) is None
    assert len(list(call_center.settings.spool.glob("*.raw"))) >= len(callers)

    monkeypatch.setattr(orphaned_files, "QUIET_AFTER", timedelta())
    tools = WorkerResources(call_center.settings, call_center.engine)
    await account_for_calls(tools, timedelta())
    assert await call_center.live_appeal(callers[1]) is None
    await given(call_center, LAST_SEQUENCE // 3)  # which no test before has come to

    async def are_accounted_for() -> bool:
        await account_for_calls(tools, timedelta())
        found = [await call_center.live_appeal(number) for number in callers]
        return all(found) and all(
            [await call_center.recordings(appeal) for appeal in found if appeal is not None]
        )

    await until(are_accounted_for, "every call has its appeal and recording")
