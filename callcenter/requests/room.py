"""The room of requests to state bodies: what it registers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, exists, or_, select, text

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.extensions import (
    AppealSection,
    HeldByBody,
    MovesWithAppeal,
    SearchableText,
    TimelineSource,
)
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.record.personal_data import PersonalDataPart
from callcenter.platform.core.errors import N_
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.requests import sections, service, store
from callcenter.requests.actions import RequestAction
from callcenter.requests.alerts import ALERTS
from callcenter.requests.news import NEWS_SOURCES
from callcenter.requests.permissions import RequestPermission
from callcenter.requests.rules.states import AT_THE_CENTER, RequestState
from callcenter.requests.tables import (
    IS_WAITING,
    IS_WITH_BODY,
    body_request,
    body_request_step,
)
from callcenter.requests.work_lists import REQUEST_LISTS


def _is_requested(_now: datetime) -> ColumnElement[bool]:
    """A request of the appeal is with a body, or waits to leave."""
    return exists().where(
        body_request.c.appeal_id == appeal.c.id, text(f"({IS_WITH_BODY} OR {IS_WAITING})")
    )


def _of_requests(appeals: Select[tuple[UUID]]) -> ColumnElement[bool]:
    requests = select(body_request.c.id).where(body_request.c.appeal_id.in_(appeals))
    return body_request_step.c.request_id.in_(requests)


_STATE_ONCE_ERASED = case(
    (
        body_request.c.state.in_([each.value for each in AT_THE_CENTER]),
        RequestState.WITHDRAWN.value,
    ),
    else_=body_request.c.state,
)

ROOM = Room(
    name="requests",
    web="callcenter.requests.web_module",
    jobs=("callcenter.requests.jobs",),
    offers=(
        *RequestPermission,
        *RequestAction,
        *REQUEST_LISTS,
        AppealSection(
            N_("Requests to bodies"),
            "requests/section.html",
            RequestPermission.MAKE_REQUESTS,
            sections.read_section,
            anchor="requests",
            summary="requests/summary.html",
            has_digit=False,
        ),
        TimelineSource(RequestPermission.MAKE_REQUESTS, sections.read_timeline),
        SearchableText(service.searchable),
        MovesWithAppeal(joined=store.move_requests),
        HeldByBody(store.is_with_body, store.is_waiting),
        NEWS_SOURCES,
        *ALERTS,
        RetentionReason(
            "requested",
            N_("They stay: a request to a state body is on its way or not answered."),
            _is_requested,
        ),
        PersonalDataPart(
            body_request,
            ("sealed", "chosen"),
            key="requests",
            label=N_("Requests to state bodies: %(count)s"),
            of=body_request.c.appeal_id.in_,
            is_personal=body_request.c.sealed.is_not(None),
            # What is erased and has not left never will.
            erased={"sealed": None, "chosen": None, "state": _STATE_ONCE_ERASED},
        ),
        PersonalDataPart(
            body_request_step,
            ("sealed", "package"),
            key="request_steps",
            label=N_("Steps of requests: %(count)s"),
            of=_of_requests,
            is_personal=or_(
                body_request_step.c.sealed.is_not(None), body_request_step.c.package.is_not(None)
            ),
            erased={"sealed": None, "package": None},
        ),
        TableRights(
            body_request,
            controller="s",
            worker="su",
            web="siu",
            columns={
                ("controller", "s"): (
                    *("id", "appeal_id", "body", "state", "begun_at", "number", "dated"),
                )
            },
        ),
        TableRights(body_request_step, worker="siu", web="siu"),
    ),
)
