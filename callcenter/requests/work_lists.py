"""Work lists of requests: to hand over, to notify of, late to be answered, and lacking."""

from sqlalchemy import ColumnElement, and_, exists, text

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.search.worklists import WorkList, WorkListReader
from callcenter.appeals.tables import record
from callcenter.platform.core.errors import N_
from callcenter.requests.store import is_due, is_notice_due
from callcenter.requests.tables import IS_WAITING, IS_WITH_BODY, body_request


def _is_due(reader: WorkListReader) -> ColumnElement[bool]:
    """A request is ready, its moment to leave has come, and nobody has handed it over."""
    return exists().where(
        body_request.c.appeal_id == appeal.c.id,
        text(IS_WAITING),
        is_due(reader.now),
    )


def _is_to_be_notified(_reader: WorkListReader) -> ColumnElement[bool]:
    """A body has or had a registered appeal, and its applicant does not know (APPC, 65(1))."""
    return exists().where(body_request.c.appeal_id == appeal.c.id, is_notice_due())


def _is_late(reader: WorkListReader) -> ColumnElement[bool]:
    """The last day of a body's answer is over."""
    return exists().where(
        body_request.c.appeal_id == appeal.c.id,
        text(IS_WITH_BODY),
        body_request.c.due_on < reader.today,
    )


def _lacks_request(_reader: WorkListReader) -> ColumnElement[bool]:
    """Noted as with a body, which callers hear, before that needed a request (R22)."""
    with_body = exists().where(body_request.c.appeal_id == appeal.c.id, text(IS_WITH_BODY))
    return and_(record.c.stage == AppealState.FORWARDED.value, ~with_body)


REQUEST_LISTS = (
    WorkList(32, "requests_ready", N_("Requests to hand over now"), _is_due, is_pressing=True),
    WorkList(
        33,
        "requests_notices",
        N_("Applicants to notify: a body has it"),
        _is_to_be_notified,
        is_pressing=True,
    ),
    WorkList(34, "requests_late", N_("Bodies that owe an answer"), _is_late, is_pressing=True),
    WorkList(36, "requests_lacking", N_("With a state body, without a request"), _lacks_request),
)
