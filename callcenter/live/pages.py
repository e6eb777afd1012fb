"""The page that supervisors keep open: what is true now."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from callcenter.live.figures import Figures
from callcenter.live.watch import CurrentWatch, Watch
from callcenter.live.wording import Wording
from callcenter.web.access import needs
from callcenter.web.events import EventStream
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, Site, language_of

TEMPLATES = Path(__file__).parent / "templates"

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.VIEW_LIVE)])


@router.get("/live")
async def live(request: Request, site: CurrentSite, watch: CurrentWatch) -> Response:
    """The figures now; a script keeps them up to date, without one the page loads itself anew."""
    say = Wording(site.words[language_of(request)])
    return page(request, "live/live.html", say=say, figures=await watch.now())


@router.get("/live/events")
async def live_events(request: Request, site: CurrentSite, watch: CurrentWatch) -> EventStream:
    """What stands on the page, in the visitor's language, as often as it is read."""
    return EventStream(_events(site, watch, language_of(request)))


async def _events(site: Site, watch: Watch, language: str) -> AsyncGenerator[str, None]:
    words = site.words[language]
    template = site.templates.get_template("live/board.html")

    def board(figures: Figures) -> str:
        return template.render(_=words, say=Wording(words), figures=figures)

    async with aclosing(watch.listen()) as readings:
        async for reading in readings:
            yield reading.form(language, board)
