"""Nightly job: erase care plans that ended long ago."""

from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.telephony.callers.care_plans import store
from callcenter.telephony.callers.history import erase_ended


@jobs.periodic(cron="50 20 * * *")  # UTC: at night in Asia/Almaty
@jobs.task(name="care_plans.erase", pass_context=True, queueing_lock="care_plans.erase")
async def erase_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Erase ended plans whose term is over, every night."""
    await erase_ended(tools_of(context), store.delete_ended, datetime.now(UTC))
