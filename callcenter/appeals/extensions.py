"""Extension points of an appeal: what other rooms add to its page, search and moves.

A room offers objects of these classes in its `room.py` (`platform.core.registry`); appeals ask for
them by their class and name no room. Everything is read and done in the transaction at hand.

Others stand beside what asks for them: `record.personal_data.PersonalDataPart`,
`masking.retention.RetentionReason`, `search.worklists.WorkList`, `calls.sections.CallSection` and
`contact.ways.WayOut`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.states import AppealState
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Permission

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class AppealReading:
    """One reading of an appeal for its page: whose record is read, by whom, and with what."""

    connection: AsyncConnection
    keys: RecordKeys
    actor: Actor
    appeal_id: UUID
    _read: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False)

    async def once(self, read: Callable[["AppealReading"], Awaitable[Read]]) -> Read:
        """The result of `read`, which is called once, though section and timeline need it."""
        if read not in self._read:
            self._read[read] = await read(self)
        result: Read = self._read[read]
        return result


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that was done about an appeal, on its page under "What was done".

    `author` is as in the audit log; `text` is a message to translate, with `values` put in; `path`
    is where it leads. What needs markup of its own has a `template` of the room, rendered with the
    `entry` after the text.
    """

    at: datetime
    author: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    path: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class TimelineSource:
    """Extension point: entries of a room in the timeline, for those with the permission."""

    permission: Permission
    read: Callable[[AppealReading], Awaitable[Sequence[TimelineEntry]]]


@dataclass(frozen=True, slots=True)
class AppealSection:
    """Extension point: a fold of the panel of an appeal, with a template of the room.

    `title` is its heading, to translate; `read` gives the template its `section`, or None: the fold
    is not shown. A refusal at its `anchor` (`web.record_actions`) is its `fault`, an edit conflict
    its `conflict`. Its forms are sent by htmx (`sends` of appeals/sends.html). A `summary`, a
    template too, stands above the form: what of it nobody may overlook. One that only some appeals
    have takes no digit (`has_digit`), so that those of the others stay the same. In the
    consultant's workspace a fold that `helps` during a call stands open in the column of help.
    """

    title: str
    template: str
    permission: Permission
    read: Callable[[AppealReading], Awaitable[object | None]]
    anchor: str | None = None
    summary: str | None = None
    has_digit: bool = True
    helps: bool = False


@dataclass(frozen=True, slots=True)
class SearchableText:
    """Texts by which an appeal is found; as keyed hashes alone, for they may be sensitive.

    Whoever changes them indexes the appeal anew: `record.search_index.index`.
    """

    read: Callable[[AsyncConnection, RecordKeys, UUID], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class FurtherNumbers:
    """Telephones on an appeal beside its caller's and those of its record, in E.164 or short.

    They are masked as a caller's, and indexed as it is, in clear: so the appeal is found by them,
    and what was said of safe contact there counts for them. Whoever changes them indexes it anew.
    """

    read: Callable[[AsyncConnection, RecordKeys, UUID], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class MovesWithAppeal:
    """Extension point: actions of a room when an appeal moves, in its transaction.

    `joined(connection, appeal, into)` to another; `split(connection, appeal, part)`;
    `entered(connection, appeal, stage)`; `given(connection, appeal, owner)` to a new one. An error
    undoes it all.
    """

    joined: Callable[[AsyncConnection, UUID, UUID], Awaitable[None]] | None = None
    split: Callable[[AsyncConnection, UUID, UUID], Awaitable[None]] | None = None
    entered: Callable[[AsyncConnection, UUID, AppealState], Awaitable[None]] | None = None
    given: Callable[[AsyncConnection, UUID, str], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class HeldByBody:
    """Extension point: whether a state body has something of an appeal, or it waits to leave.

    Both are called with a connection and the appeal. It is with a body while one has something and
    has not ended it; it ends neither then nor while something waits.
    """

    is_with_body: Callable[[AsyncConnection, UUID], Awaitable[bool]]
    is_waiting: Callable[[AsyncConnection, UUID], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class NewsSource:
    """A state body that has an appeal, and is the source of news of it (R22).

    `names` are by language of callers, `number` and `dated` those that the body gave it;
    `telephone` is one that somebody vouched for, E.164 or short, or None.
    """

    names: Mapping[str, str]
    number: str
    dated: date
    telephone: str | None


@dataclass(frozen=True, slots=True)
class NewsSources:
    """Extension point: the bodies that an applicant is given by machine, the latest first.

    `read(connection, appeal)`, after its receipt proved whose appeal it is.
    """

    read: Callable[[AsyncConnection, UUID], Awaitable[Sequence[NewsSource]]]


@dataclass(frozen=True, slots=True)
class CallerDetails:
    """Details about a caller among those of the call: labels to translate, each with its text.

    `read(connection, number)` is for a number as the register has it, E.164 or short.
    """

    read: Callable[[AsyncConnection, str], Awaitable[Sequence[tuple[str, str]]]]


@dataclass(frozen=True, slots=True)
class CallsUnwanted:
    """Extension point of the register of calls: whether a caller may not be called now."""

    read: Callable[[AsyncConnection, str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class UnreadBy:
    """Extension point: whether a user has something of an appeal still to read.

    `read(connection, appeal, user)`. They do not close it as no request before, which erases it.
    """

    read: Callable[[AsyncConnection, UUID, str], Awaitable[bool]]
