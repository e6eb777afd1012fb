"""JSON API of the wallboard below /api/v1: figures, call board, supervision, queues."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import TypeAdapter

from callcenter.consultants.dependencies import CurrentPresenceService
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.sse import EventStream
from callcenter.telephony.acd.dependencies import CurrentCommands
from callcenter.telephony.acd.rules.call_commands import Answer, SupervisionMode
from callcenter.wallboard import join_call, queue_actions
from callcenter.wallboard.alert_actions import acknowledge_alert
from callcenter.wallboard.call_board import CallBoard
from callcenter.wallboard.dependencies import (
    AlertGroupId,
    CurrentFeed,
    CurrentQueueControl,
    Minutes,
    Reason,
    Seen,
)
from callcenter.wallboard.live_feed import LiveFeed, LiveSnapshot
from callcenter.wallboard.permissions import WallboardPermission
from callcenter.wallboard.rules import Figures

FIGURES = TypeAdapter(Figures)

router = APIRouter(tags=["live"])


@router.get("/api/v1/live", dependencies=[requires(WallboardPermission.VIEW_LIVE)])
async def live(feed: CurrentFeed) -> Figures:
    """The figures now. A part that cannot be read now is null, never an older value."""
    return await feed.now()


@router.get(
    "/api/v1/live/events",
    dependencies=[requires(WallboardPermission.VIEW_LIVE)],
    status_code=200,
    response_class=EventStream,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def live_events(feed: CurrentFeed) -> EventStream:
    """The figures, each event with one JSON object.

    They come twice a second while anybody waits or talks; else when something changes, and at
    least every two seconds. The stream ends after four minutes or when the server stops: reconnect
    then, as browsers do.
    """
    return EventStream(_events(feed))


@router.post(
    "/api/v1/conversations/{extension}/supervision",
    dependencies=[requires(WallboardPermission.HEAR_CALLS)],
)
async def supervise(
    site: CurrentSite,
    presence: CurrentPresenceService,
    commands: CurrentCommands,
    actor: CurrentActor,
    extension: str,
    mode: Annotated[SupervisionMode, Form()],
    reason: Reason,
) -> Answer:
    """Join the conversation of this consultant; your own telephone rings, unless it is there.

    The audit log has the reason and the consultant, whatever the answer.
    """
    return await join_call.supervise(
        site.engine, presence, commands, actor, extension, mode, reason
    )


@router.post(
    "/api/v1/alarms/acknowledge", dependencies=[requires(WallboardPermission.ACKNOWLEDGE_ALERTS)]
)
async def acknowledge(
    site: CurrentSite, actor: CurrentActor, group_id: AlertGroupId, seen: Seen
) -> None:
    """Acknowledge the alerts of a group of `/api/v1/live`; the audit log names you."""
    await acknowledge_alert(site.engine, site.redis, actor, group_id, seen)


@router.get("/api/v1/floor", dependencies=[requires(WallboardPermission.DIRECT)])
async def read_floor(feed: CurrentFeed) -> CallBoard | None:
    """Conversations, waiting calls and paused queues; null: unknown now."""
    return (await feed.poll()).board


@router.post("/api/v1/queues/{queue}/hold", dependencies=[requires(WallboardPermission.DIRECT)])
async def hold_back(
    site: CurrentSite,
    queues: CurrentQueueControl,
    actor: CurrentActor,
    queue: str,
    minutes: Minutes,
    reason: Reason,
) -> None:
    """Pause the queue of a language, or `all` queues, for so many minutes.

    Callers keep waiting, no offers are made. Urgent calls are never paused.
    """
    await queue_actions.pause_queue(site.engine, queues, actor, queue, minutes, reason)


@router.post("/api/v1/queues/{queue}/let-on", dependencies=[requires(WallboardPermission.DIRECT)])
async def let_on(
    site: CurrentSite, queues: CurrentQueueControl, actor: CurrentActor, queue: str
) -> None:
    """Resume a queue before the time."""
    await queue_actions.resume_queue(site.engine, queues, actor, queue)


@router.post(
    "/api/v1/waiting/{call_id}/hand-out", dependencies=[requires(WallboardPermission.DIRECT)]
)
async def hand_out(
    site: CurrentSite,
    queues: CurrentQueueControl,
    actor: CurrentActor,
    call_id: str,
    extension: Annotated[str, Form()],
) -> None:
    """Assign a waiting call to a consultant who is free or in wrap-up, now."""
    await queue_actions.assign_call(site.engine, queues, actor, call_id, extension)


async def _events(feed: LiveFeed) -> AsyncGenerator[str, None]:
    async with aclosing(feed.listen()) as readings:
        async for reading in readings:
            yield reading.render("json", _json)


def _json(reading: LiveSnapshot) -> str:
    return FIGURES.dump_json(reading.figures, by_alias=True).decode()
