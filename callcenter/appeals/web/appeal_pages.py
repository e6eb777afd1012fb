"""The page of an appeal, and addresses that led to what stands there or in the search."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.calls import service
from callcenter.appeals.calls.dropped_calls import NoCallbackReason
from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.appeal_view import appeal_page
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.page_actions import DECIDED_MEANWHILE, action, run_action

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.VIEW_APPEALS)])
showing = APIRouter(
    include_in_schema=False, dependencies=[requires(AppealPermission.SEE_CALLER_NUMBER)]
)
editing = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])


@router.get("/appeals")
async def former_list(
    number: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Lead from where the list of appeals was a page of its own, to what was typed there."""
    query = {name: value for name, value in (("q", number), ("after", before)) if value}
    return RedirectResponse(f"/search?{urlencode(query)}", HTTPStatus.PERMANENT_REDIRECT)


@router.get("/appeals/{number}")
async def appeal(request: Request, site: CurrentSite, actor: CurrentActor, number: str) -> Response:
    """Show an appeal, after the audit log says who views it."""
    return await appeal_page(request, site, actor, number)


@showing.post("/appeals/{number}/caller-number")
async def show_number(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)],
) -> Response:
    """Show the appeal with its caller's number whole; the reason is in the audit log."""
    return await run_action(
        service.show_number(site.engine, actor, number, reason),
        lambda shown: appeal_page(request, site, actor, number, caller_number=shown),
        lambda refusal: appeal_page(request, site, actor, number, problem=str(refusal)),
    )


@editing.post("/appeals/{number}/not-called-back")
async def decline_callback(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    reason: Annotated[NoCallbackReason, Form()],
) -> Response:
    """Decide not to call back who was cut off, or show the appeal as it is now."""
    return await action(
        service.decline_callback(site.engine, actor, number, reason),
        f"/appeals/{number}",
        lambda _: appeal_page(request, site, actor, number, problem=DECIDED_MEANWHILE),
    )


@router.get("/appeals/{number}/record")
async def former_record(number: str) -> Response:
    """Lead from where the record was a page of its own."""
    return RedirectResponse(f"/appeals/{number}", HTTPStatus.PERMANENT_REDIRECT)
