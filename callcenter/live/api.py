"""Live figures in JSON, once or as server-sent events, below /api/v1."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter
from pydantic import TypeAdapter

from callcenter.live.figures import Figures
from callcenter.live.watch import CurrentWatch, Watch
from callcenter.web.access import needs
from callcenter.web.events import EventStream
from callcenter.web.permissions import Permission

FIGURES = TypeAdapter(Figures)

router = APIRouter(tags=["live"], dependencies=[needs(Permission.VIEW_LIVE)])


@router.get("/api/v1/live")
async def live(watch: CurrentWatch) -> Figures:
    """What is true now. A part that cannot be read now is null, never an older value."""
    return await watch.now()


@router.get(
    "/api/v1/live/events",
    status_code=200,
    response_class=EventStream,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def live_events(watch: CurrentWatch) -> EventStream:
    """The same as often as it is read, twice a second, each event with one JSON object.

    The stream ends after a minute or when the server stops: come back then, as browsers do.
    """
    return EventStream(_events(watch))


async def _events(watch: Watch) -> AsyncGenerator[str, None]:
    async with aclosing(watch.listen()) as readings:
        async for reading in readings:
            yield reading.form("json", _json)


def _json(figures: Figures) -> str:
    return FIGURES.dump_json(figures).decode()
