"""The guide of a page, which the page loads when somebody asks for it."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from callcenter.platform.core.errors import NotFound
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentSite
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False)


@router.get("/guides/{room}/{page_name}", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def guide(request: Request, site: CurrentSite, room: str, page_name: str) -> Response:
    """The guide of a page of this room, as a part of the page. Raises NotFound."""
    guide = site.guides.get(f"{room}/{page_name}.html")
    if guide is None:
        raise NotFound
    return page(request, "web/guide.html", guide=guide)
