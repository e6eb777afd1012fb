"""Jobs of urgent notifications: what nobody took, or of which nobody knows the end."""

from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.urgent_notifications.escalation import watch_notifications


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name="urgent_notifications.watch", pass_context=True, queueing_lock="urgent_notifications.watch"
)
async def watch_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Run `escalation.watch_notifications` every minute."""
    tools = tools_of(context)
    await watch_notifications(tools.engine, tools.settings, datetime.now(UTC))
