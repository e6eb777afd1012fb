"""Every night: is what was sealed, and the audit log, as it was written?

A sample of the recordings, and the whole log. What is wrong is in the log of the worker, and
supervisors are alarmed.
"""

from collections.abc import Awaitable, Callable

from procrastinate import JobContext

from callcenter.audit import jobs as audit
from callcenter.consultants.alarms import Alarm, raise_alarm
from callcenter.recordings import jobs as recordings
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.redis import open_redis


@jobs.periodic(cron="0 22 * * *")  # UTC: three at night in Asia/Almaty
@jobs.task(name="recordings.verify", pass_context=True, queueing_lock="recordings.verify")
async def recordings_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`recordings.verify_sample` every night."""
    await _alarmed(tools_of(context), recordings.verify_sample)


@jobs.periodic(cron="30 22 * * *")  # half an hour later
@jobs.task(name="audit.verify", pass_context=True, queueing_lock="audit.verify")
async def audit_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`audit.verify` every night."""
    await _alarmed(tools_of(context), audit.verify)


async def _alarmed(tools: Tools, verify: Callable[[Tools], Awaitable[int]]) -> None:
    if await verify(tools):
        async with open_redis(tools.settings) as redis:
            await raise_alarm(redis, Alarm.NOT_AS_WRITTEN)
