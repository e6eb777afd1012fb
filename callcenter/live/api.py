"""Live figures in JSON, once or as server-sent events, below /api/v1."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import TypeAdapter

from callcenter.consultants.orders import Answer, Mode
from callcenter.live import supervising
from callcenter.live.figures import Figures
from callcenter.live.supervising import ReasonGiven
from callcenter.live.watch import CurrentWatch, Watch
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


async def _events(watch: Watch) -> AsyncGenerator[str, None]:
    async with aclosing(watch.listen()) as readings:
        async for reading in readings:
            yield reading.form("json", _json)


def _json(figures: Figures) -> str:
    return FIGURES.dump_json(figures).decode()
