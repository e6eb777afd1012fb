"""Reasons to retain personal data of an appeal despite a request or the end of their term."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CTE, ColumnElement, and_, exists, or_, select

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.rules.states import ENDED
from callcenter.appeals.search.worklists import WRITE_DOWN_LIMIT
from callcenter.appeals.tables import record
from callcenter.platform.core.errors import N_
from callcenter.recordings.tables import recording, recording_hold


@dataclass(frozen=True, slots=True)
class RetentionReason:
    """Extension point: a reason why the personal data of an appeal are not masked for now.

    `key` names it in previews and refusals, `label` says it on pages. `applies` is a condition on
    `appeal`, and `record` beside it, at a moment; NULL (there is no record) is no reason.
    """

    key: str
    label: str
    applies: Callable[[datetime], ColumnElement[bool]]


def _is_open(now: datetime) -> ColumnElement[bool]:
    """The appeal, or one in which it goes on, has not ended."""
    ended = [stage.value for stage in ENDED]
    goes_on_in = _goes_on_in()
    target = record.alias("target")
    of_target = goes_on_in.outerjoin(target, target.c.appeal_id == goes_on_in.c.id)
    return or_(
        record.c.stage.not_in(ended),
        and_(
            record.c.joined_to.is_not(None),
            exists()
            .select_from(of_target)
            .where(or_(target.c.appeal_id.is_(None), target.c.stage.not_in(ended))),
        ),
        and_(
            record.c.appeal_id.is_(None),
            or_(appeal.c.outcome.is_(None), appeal.c.received_at > now - WRITE_DOWN_LIMIT),
        ),
    )


def _goes_on_in() -> CTE:
    """The appeal that the one of `record` was joined to, and those in which that goes on."""
    first = select(record.c.joined_to.label("id")).correlate(record)
    goes_on_in = first.cte("goes_on_in", recursive=True, nesting=True)
    further = record.alias("further")
    return goes_on_in.union(
        select(further.c.joined_to)
        .join(goes_on_in, goes_on_in.c.id == further.c.appeal_id)
        .where(further.c.joined_to.is_not(None))
    )


def _is_held(_now: datetime) -> ColumnElement[bool]:
    """A recording of the appeal is held, for a demand or a court."""
    return exists().where(
        recording.c.appeal_id == appeal.c.id,
        recording_hold.c.recording_id == recording.c.id,
        recording_hold.c.ended_at.is_(None),
    )


#: What the room of appeals itself offers.
APPEAL_REASONS = (
    RetentionReason("goes_on", N_("They stay: the appeal goes on."), _is_open),
    RetentionReason("held", N_("They stay: a recording of it is held."), _is_held),
)
