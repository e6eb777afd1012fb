"""The page of blocked numbers: who is blocked, until when and why; to block and to let through."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.abuse import blocking, store
from callcenter.abuse.blocks import PERIODS, Reason
from callcenter.errors import N_, AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 100  # blocks, in force and past
SEE_OTHER = 303

REASONS = {
    Reason.INSULTS: N_("insults"),
    Reason.THREATS: N_("threats"),
    Reason.PRANKS: N_("pranks"),
    Reason.MACHINE: N_("a machine calls"),
}

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.BLOCK_NUMBERS)])


@router.get("/blocked")
async def blocked(request: Request, site: CurrentSite) -> Response:
    """Blocks in force first, then the newest past ones."""
    return await _list(request, site)


@router.post("/blocked")
async def block(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: Annotated[str, Form(max_length=40)],
    hours: Annotated[int, Form()],
    reason: Annotated[Reason, Form()],
) -> Response:
    """Block a number; what was typed wrongly is said beside the form."""
    try:
        await blocking.block(site.engine, visit, number=number, hours=hours, reason=reason)
    except AskedWrongly:
        return await _list(request, site, refused=True)
    return RedirectResponse("/blocked", SEE_OTHER)


@router.post("/blocked/{block_id}/lift")
async def lift(site: CurrentSite, visit: CurrentVisit, block_id: UUID) -> Response:
    """Let calls from the number through again."""
    await blocking.lift(site.engine, visit, block_id)
    return RedirectResponse("/blocked", SEE_OTHER)


async def _list(request: Request, site: Site, *, refused: bool = False) -> Response:
    async with unit_of_work(site.engine) as connection:
        blocks = await store.newest(connection, limit=SHOWN)
        in_force = await store.in_force(connection)
    now = datetime.now(UTC)
    return page(
        request,
        "abuse/blocked.html",
        status=400 if refused else 200,
        in_force=in_force,
        past=[block for block in blocks if not block.is_in_force(now)],
        reasons=REASONS,
        periods=PERIODS,
        refused=refused,
    )
