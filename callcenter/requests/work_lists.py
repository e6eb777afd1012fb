"""Work lists of requests: those that wait to leave, and those whose answer is late."""

from sqlalchemy import ColumnElement, exists, text

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.search.worklists import WorkList, WorkListReader
from callcenter.platform.core.errors import N_
from callcenter.requests.tables import IS_WAITING, IS_WITH_BODY, body_request


def _waits(_reader: WorkListReader) -> ColumnElement[bool]:
    """A request is ready, and nobody has handed it over."""
    return exists().where(body_request.c.appeal_id == appeal.c.id, text(IS_WAITING))


def _is_late(reader: WorkListReader) -> ColumnElement[bool]:
    """The last day of a body's answer is over."""
    return exists().where(
        body_request.c.appeal_id == appeal.c.id,
        text(IS_WITH_BODY),
        body_request.c.due_on < reader.today,
    )


REQUEST_LISTS = (
    WorkList(32, "requests_ready", N_("Requests to hand over"), _waits, is_pressing=True),
    WorkList(34, "requests_late", N_("Bodies that owe an answer"), _is_late, is_pressing=True),
)
