"""Page of masking: pending requests, the rules, and what a rule would mask."""

from collections.abc import Awaitable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.form import store
from callcenter.appeals.labels import ENDED_KINDS, RecordLabels
from callcenter.appeals.masking import service
from callcenter.appeals.masking import store as masking_store
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import personal_data
from callcenter.appeals.rules.masking import (
    LEAST_DAYS,
    MOST_DAYS,
    RetentionRequired,
    RuleScope,
)
from callcenter.appeals.web.appeal_view import appeal_page
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.core.registry import offers
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.form_fields import Decision, Reason
from callcenter.platform.web.page_actions import DECIDED_MEANWHILE, action
from callcenter.platform.web.templating import page

REFUSED = N_(
    "This is not possible: enter a reason and a number of days. One person makes the"
    " request, once, and another decides."
)

Days = Annotated[int, Form(ge=1, le=MOST_DAYS)]

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.MASK)])


@router.get("/masking")
async def masking(
    request: Request,
    site: CurrentSite,
    kind: RuleScope | Literal[""] = "",
    days: Annotated[int | None, Query(ge=1, le=MOST_DAYS)] = None,
) -> Response:
    """Show pending requests, the rules, and what a rule of this kind and length would mask."""
    return await _show(request, site, kind=kind or None, days=days)


@router.post("/masking")
async def ask_for_rule(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    kind: Annotated[RuleScope, Form()],
    days: Days,
    reason: Reason = "",
) -> Response:
    """Request a rule."""
    return await _run(request, site, service.request_rule(site.engine, actor, kind, days, reason))


@router.post("/appeals/{number}/record/mask")
async def ask(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    also: Annotated[list[str] | None, Form()] = None,
    reason: Reason = "",
) -> Response:
    """Request masking of an appeal, and of others of the same person; else show it again."""
    return await action(
        service.request_masking(site.engine, actor, [number, *(also or [])], reason),
        "/masking",
        lambda refusal: appeal_page(request, site, actor, number, problem=_words_for(refusal)),
        reraise=(),
    )


@router.post("/masking/{masking_id}/decision")
async def decide(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    masking_id: UUID,
    form: Annotated[Decision, Form()],
) -> Response:
    """Approve or refuse what another person requested."""
    call = service.decide(
        site.engine, record_keys(site), actor, masking_id, approve=form.approve, reason=form.reason
    )
    return await _run(request, site, call)


@router.post("/masking/{masking_id}/end")
async def end(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    masking_id: UUID,
    reason: Reason = "",
) -> Response:
    """End a rule."""
    return await _run(request, site, service.end_rule(site.engine, actor, masking_id, reason))


async def _run(request: Request, site: AppContext, call: Awaitable[object]) -> Response:
    """Await a service call and show the list; a refusal is shown beside it."""
    return await action(
        call,
        "/masking",
        lambda refusal: _show(request, site, _words_for(refusal)),
        reraise=(),
    )


def _words_for(refusal: InvalidRequest) -> str:
    if isinstance(refusal, RetentionRequired):
        return _reason_labels()[refusal.why[0]]
    return DECIDED_MEANWHILE if isinstance(refusal, NotFound) else REFUSED


async def _show(
    request: Request,
    site: AppContext,
    problem: str | None = None,
    *,
    kind: RuleScope | None = None,
    days: int | None = None,
) -> Response:
    async with unit_of_work(site.engine) as connection:
        pending = [
            (each, await service.preview(connection, record_keys(site), each))
            for each in await masking_store.list_pending(connection)
        ]
        rules = await masking_store.list_rules(connection)
        tried = await service.preview_rule(connection, kind, days) if kind and days else None
        form = await store.read_form(connection)
    return page(
        request,
        "appeals/masking.html",
        status=400 if problem else 200,
        pending=pending,
        rules=rules,
        tried=tried,
        kind=kind,
        days=days,
        least=LEAST_DAYS,
        most=MOST_DAYS,
        kinds=ENDED_KINDS,
        reasons=_reason_labels(),
        parts=_part_labels(),
        say=RecordLabels(site.words[language_of(request)], form),
        problem=problem,
    )


def _reason_labels() -> dict[str, str]:
    """Why personal data must stay for now."""
    return {reason.key: reason.label for reason in offers(RetentionReason)}


def _part_labels() -> dict[str, str]:
    """How much is erased beside the content of records."""
    labels = {part.key: part.label for part in personal_data.parts()}
    return labels | {personal_data.CHANGES: personal_data.CHANGES_LABEL}
