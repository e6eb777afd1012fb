"""Nightly job: erase blocks of numbers that ended long ago."""

from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.telephony.callers.blocklist import store
from callcenter.telephony.callers.history import erase_ended


@jobs.periodic(cron="40 20 * * *")  # UTC: at night in Asia/Almaty
@jobs.task(name="blocklist.erase", pass_context=True, queueing_lock="blocklist.erase")
async def erase_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Erase ended blocks whose term is over, every night."""
    await erase_ended(tools_of(context), store.delete_ended, datetime.now(UTC))
