"""Page of the blocklist: blocks in force and past, blocking and lifting."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.page_actions import DECIDED_MEANWHILE, action, run_action
from callcenter.platform.web.templating import page
from callcenter.telephony.callers.blocklist import service
from callcenter.telephony.callers.blocklist.permissions import BlocklistPermission
from callcenter.telephony.callers.blocklist.rules import PERIODS, BlockReason

SHOWN = 100  # blocks, in force and past

REASONS = {
    BlockReason.INSULTS: N_("insults"),
    BlockReason.THREATS: N_("threats"),
    BlockReason.PRANKS: N_("pranks"),
    BlockReason.MACHINE: N_("a machine calls"),
}

router = APIRouter(
    include_in_schema=False, dependencies=[requires(BlocklistPermission.BLOCK_NUMBERS)]
)


@router.get("/blocked")
async def blocked(request: Request, site: CurrentSite) -> Response:
    """Blocks in force first, then the newest past ones."""
    return await _list(request, site)


@router.post("/blocked")
async def block(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: Annotated[str, Form(max_length=40)],
    hours: Annotated[int, Form()],
    reason: Annotated[BlockReason, Form()],
) -> Response:
    """Block a number, or show the form again with the error."""
    return await action(
        service.block(site.engine, actor, number=number, hours=hours, reason=reason),
        "/blocked",
        lambda refusal: _list(request, site, refusal),
    )


@router.post("/blocked/{block_id}/lift")
async def lift(
    request: Request, site: CurrentSite, actor: CurrentActor, block_id: UUID
) -> Response:
    """Lift a block, or show the list as it is now."""
    return await action(
        service.lift(site.engine, actor, block_id),
        "/blocked",
        lambda refusal: _list(request, site, refusal, DECIDED_MEANWHILE),
        reraise=(),
    )


@router.post("/blocked/{block_id}/number")
async def show_number(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    block_id: UUID,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)],
) -> Response:
    """Show the list with this number whole; the reason is in the audit log."""
    return await run_action(
        service.show_number(site.engine, actor, block_id, reason),
        lambda number: _list(request, site, whole={block_id: number}),
        lambda refusal: _list(request, site, refusal, str(refusal)),
    )


async def _list(
    request: Request,
    site: AppContext,
    refusal: InvalidRequest | None = None,
    problem: str | None = None,
    *,
    whole: Mapping[UUID, str] = MappingProxyType({}),
) -> Response:
    """The list; a refusal stands above it as `problem`, or beside the form without one."""
    in_force, past = await service.list_blocks(site.engine, past=SHOWN)
    return page(
        request,
        "blocklist/blocked.html",
        status=200 if refusal is None else status_of(refusal),
        mask=mask,
        whole=whole,
        problem=problem,
        in_force=in_force,
        past=past,
        reasons=REASONS,
        periods=PERIODS,
        refused=refusal is not None and problem is None,
    )
