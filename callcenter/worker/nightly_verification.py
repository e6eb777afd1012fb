"""Nightly verification of the sealed store and the audit log.

A sample of the recordings, and the whole log. Faults are in the log of the worker, and supervisors
are alerted.
"""

from collections.abc import Awaitable, Callable

from procrastinate import JobContext

from callcenter.platform.audit import jobs as audit
from callcenter.platform.monitoring.alerts import raise_alert
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.recordings import jobs as recordings
from callcenter.worker.alerts import NOT_AS_WRITTEN


@jobs.periodic(cron="0 22 * * *")  # UTC: three at night in Asia/Almaty
@jobs.task(name="recordings.verify", pass_context=True, queueing_lock="recordings.verify")
async def recordings_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `recordings.verify_sample` every night."""
    await _verify_and_alert(tools_of(context), recordings.verify_sample)


@jobs.periodic(cron="30 22 * * *")  # half an hour later
@jobs.task(name="audit.verify", pass_context=True, queueing_lock="audit.verify")
async def audit_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `audit.verify` every night."""
    await _verify_and_alert(tools_of(context), audit.verify)


async def _verify_and_alert(
    tools: WorkerResources, verify: Callable[[WorkerResources], Awaitable[int]]
) -> None:
    if await verify(tools):
        async with open_redis(tools.settings) as redis:
            await raise_alert(redis, NOT_AS_WRITTEN)
