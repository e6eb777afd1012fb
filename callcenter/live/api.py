"""Live figures in JSON, once or as server-sent events, below /api/v1."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import TypeAdapter

from callcenter.consultants.orders import Answer, Mode
from callcenter.live import directing, supervising
from callcenter.live.figures import Figures
from callcenter.live.floor import Floor
from callcenter.live.supervising import Minutes, ReasonGiven
from callcenter.live.watch import CurrentWatch, Reading, Watch
from callcenter.web.access import needs
from callcenter.web.events import EventStream
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

FIGURES = TypeAdapter(Figures)

router = APIRouter(tags=["live"])


@router.get("/api/v1/live", dependencies=[needs(Permission.VIEW_LIVE)])
async def live(watch: CurrentWatch) -> Figures:
    """What is true now. A part that cannot be read now is null, never an older value."""
    return await watch.now()


@router.get(
    "/api/v1/live/events",
    dependencies=[needs(Permission.VIEW_LIVE)],
    status_code=200,
    response_class=EventStream,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def live_events(watch: CurrentWatch) -> EventStream:
    """The same as often as it is read, twice a second, each event with one JSON object.

    The stream ends after a minute or when the server stops: come back then, as browsers do.
    """
    return EventStream(_events(watch))


@router.post(
    "/api/v1/conversations/{extension}/supervision",
    dependencies=[needs(Permission.HEAR_CALLS)],
)
async def supervise(
    site: CurrentSite,
    visit: CurrentVisit,
    extension: str,
    mode: Annotated[Mode, Form()],
    reason: ReasonGiven,
) -> Answer:
    """Be with the conversation of this consultant; your own telephone rings, unless it is there.

    The reason is in the audit log, with whose conversation it was, whatever the answer.
    """
    return await supervising.supervise(site, visit, extension, mode, reason)


@router.get("/api/v1/floor", dependencies=[needs(Permission.DIRECT)])
async def read_floor(watch: CurrentWatch) -> Floor | None:
    """Who talks and who waits, call by call, and queues held back; null: it is not known now."""
    return (await watch.look()).floor


@router.post("/api/v1/queues/{queue}/hold", dependencies=[needs(Permission.DIRECT)])
async def hold_back(
    site: CurrentSite,
    visit: CurrentVisit,
    queue: str,
    minutes: Minutes,
    reason: ReasonGiven,
) -> None:
    """Make no offers from the queue of a language, or from `all`, for so many minutes.

    Callers wait on. Urgent calls are never held back.
    """
    await directing.hold_back(site, visit, queue, minutes, reason)


@router.post("/api/v1/queues/{queue}/let-on", dependencies=[needs(Permission.DIRECT)])
async def let_on(site: CurrentSite, visit: CurrentVisit, queue: str) -> None:
    """Make offers again before the time."""
    await directing.let_on(site, visit, queue)


@router.post("/api/v1/waiting/{call_id}/hand-out", dependencies=[needs(Permission.DIRECT)])
async def hand_out(
    site: CurrentSite, visit: CurrentVisit, call_id: str, extension: Annotated[str, Form()]
) -> None:
    """Give a call that waits to a consultant who is free or past a conversation, now."""
    await directing.hand_out(site, visit, call_id, extension)


async def _events(watch: Watch) -> AsyncGenerator[str, None]:
    async with aclosing(watch.listen()) as readings:
        async for reading in readings:
            yield reading.form("json", _json)


def _json(reading: Reading) -> str:
    return FIGURES.dump_json(reading.figures).decode()
