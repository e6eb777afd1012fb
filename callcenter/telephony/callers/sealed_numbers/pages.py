"""Pages of sealed numbers: asking for one, requests that wait, and the number, once."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.web.appeal_view import appeal_page
from callcenter.platform.core.errors import (
    N_,
    InvalidRequest,
    NotFound,
    SelfApproval,
)
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import Decision, Reason
from callcenter.platform.web.page_actions import Refusals, action, words_for
from callcenter.platform.web.templating import page
from callcenter.telephony.callers.sealed_numbers import service, store
from callcenter.telephony.callers.sealed_numbers.permissions import SealedNumberPermission
from callcenter.telephony.callers.sealed_numbers.rules import (
    NotOpenable,
    NumberUnreadable,
)

LIST = "/sealed-numbers"

#: Refusals in the words of the page; the first that fits counts.
REFUSALS: Refusals = (
    (
        NumberUnreadable,
        N_(
            "The number cannot be opened with the available keys: tell the"
            " administrator, and try again within a day of the approval. Your attempt"
            " is in the audit log."
        ),
    ),
    (
        SelfApproval,
        N_("You made this request: another person decides. Your attempt is in the audit log."),
    ),
    (
        NotOpenable,
        N_(
            "The number is shown once, within a day of the approval, to the person"
            " who made the request or the one who approved it. Your attempt is in the"
            " audit log."
        ),
    ),
    (NotFound, N_("Somebody else has already decided, or the number is no longer stored.")),
    (
        InvalidRequest,
        N_(
            "This is not possible: enter a reason. One person makes the request, once,"
            " and another decides."
        ),
    ),
)

router = APIRouter(
    include_in_schema=False, dependencies=[requires(SealedNumberPermission.TRACE_NUMBERS)]
)


@router.get(LIST)
async def sealed_numbers(request: Request, site: CurrentSite) -> Response:
    """Requests that wait for another person or to be opened, the oldest first."""
    return await _list(request, site)


@router.post("/appeals/{number}/sealed-number")
async def ask(
    request: Request, site: CurrentSite, actor: CurrentActor, number: str, reason: Reason = ""
) -> Response:
    """Request that the number of an appeal be opened, or show the appeal with the refusal."""
    return await action(
        service.request(site.engine, actor, number, reason),
        LIST,
        lambda why: appeal_page(request, site, actor, number, problem=words_for(why, REFUSALS)),
        reraise=(),
    )


@router.post("/sealed-numbers/{opening_id}/decision")
async def decide(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    opening_id: UUID,
    form: Annotated[Decision, Form()],
) -> Response:
    """Approve or refuse another person's request."""
    decided = service.decide(
        site.engine, actor, opening_id, approve=form.approve, reason=form.reason
    )
    return await action(
        decided, LIST, lambda why: _list(request, site, words_for(why, REFUSALS)), reraise=()
    )


@router.post("/sealed-numbers/{opening_id}/number")
async def open_number(
    request: Request, site: CurrentSite, actor: CurrentActor, opening_id: UUID
) -> Response:
    """Show the number: this once, in the answer alone."""
    try:
        number = await service.open_once(site.engine, site.settings.keys, actor, opening_id)
    except (InvalidRequest, NumberUnreadable) as refusal:
        status = 500 if isinstance(refusal, NumberUnreadable) else 400
        return await _list(request, site, words_for(refusal, REFUSALS), status=status)
    return await _list(request, site, shown=number)


async def _list(
    request: Request,
    site: AppContext,
    problem: str | None = None,
    shown: str | None = None,
    *,
    status: int = 400,
) -> Response:
    async with unit_of_work(site.engine) as connection:
        openings = await store.list_open(connection, datetime.now(UTC))
    return page(
        request,
        "sealed_numbers/sealed_numbers.html",
        status=status if problem else 200,
        openings=openings,
        problem=problem,
        shown=shown,
        basis=site.settings.trace_legal_basis,
    )
