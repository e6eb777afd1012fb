"""The room of the wallboard: what it registers."""

from redis.asyncio import Redis

from callcenter.platform.core.registry import Room
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.wallboard.actions import WallboardAction
from callcenter.wallboard.alerts import ALERTS
from callcenter.wallboard.permissions import WallboardPermission


async def _escalate(tools: WorkerResources, redis: Redis) -> None:
    """Send alerts outside that nobody acknowledges."""
    from callcenter.wallboard import escalation

    await escalation.run(tools, redis)


ROOM = Room(
    name="wallboard",
    web="callcenter.wallboard.web_module",
    jobs=("callcenter.wallboard.jobs", "callcenter.wallboard.escalation"),
    offers=(
        WorkerLoop("escalation", _escalate),
        *WallboardPermission,
        *WallboardAction,
        *ALERTS,
    ),
)
