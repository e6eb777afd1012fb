"""Requests to state bodies in PostgreSQL: what was chosen, and what leaves, are encrypted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from itertools import chain
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record.store import IS_URGENT_CASE, is_open
from callcenter.appeals.tables import IS_URGENT, record
from callcenter.platform.core.errors import NotFound, VersionConflict
from callcenter.platform.core.timezone import ZONE
from callcenter.requests.rules.composition import (
    EMPTY,
    ReleasedFile,
    RequestDraft,
    RequestPackage,
)
from callcenter.requests.rules.states import NOTICES, RequestState, RequestStep, StepFacts
from callcenter.requests.rules.text_scan import FindingKind, TextFinding
from callcenter.requests.tables import IS_WAITING, IS_WITH_BODY, body_request, body_request_step

NOT_THERE = "there is no such request of this appeal"


@dataclass(frozen=True, slots=True)
class BodyRequest:
    """A request to a body.

    `package` is what leaves or has left, with its hash; it is none once it is masked.
    """

    id: UUID
    appeal_id: UUID
    body: str
    direction: str
    language: str
    state: RequestState
    version: int
    begun_at: datetime
    author: str
    sha256: str | None
    number: str | None
    dated: date | None
    due_on: date | None
    leaves_at: datetime | None  #: when it is ready: not before
    notified_at: datetime | None  #: the applicant: which body has it
    notice_due_on: date | None  #: last day of that; none: somebody saw to it
    competent: str | None
    draft: RequestDraft
    package: RequestPackage | None

    @property
    def is_notice_due(self) -> bool:
        """Whether it has left, and nobody notified the applicant (APPC, 65(1))."""
        return self.number is not None and self.notified_at is None

    def is_due(self, now: datetime) -> bool:
        """Whether its moment to leave has come, once it waits, or nobody planned it."""
        return self.leaves_at is None or self.leaves_at <= now


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A step that was taken, by whom and why; `package` is what was made ready by it.

    The reason is empty, and the package none, once they are masked.
    """

    step: RequestStep
    state: RequestState
    at: datetime
    author: str
    reason: str
    package: RequestPackage | None


@dataclass(frozen=True, slots=True)
class LateRequest:
    """A request whose last day is over, with the number of its appeal."""

    id: UUID
    body: str
    state: RequestState
    due_on: date
    number: str


_READIED = (
    select(body_request_step.c.package, body_request_step.c.sha256)
    .where(
        body_request_step.c.request_id == body_request.c.id,
        body_request_step.c.step == RequestStep.READIED.value,
    )
    .order_by(body_request_step.c.ordinal.desc())
    .limit(1)
    .lateral("readied")
)
_HAS_LEFT = body_request.c.number.is_not(None)
#: Condition on an appeal and its record: urgent, and never null. What its caller said by key or in
#: writing counts until somebody writes that it is usual (R11).
LEAVES_AT_ONCE = or_(
    func.coalesce(IS_URGENT, false()),
    and_(IS_URGENT_CASE, record.c.content["urgency"].astext.is_distinct_from("usual")),
)
#: Requests, with what was made ready last of those that leave or have left.
_REQUESTS = select(body_request, _READIED).select_from(
    body_request.outerjoin(_READIED, or_(text(IS_WAITING), _HAS_LEFT))
)


async def insert_new(
    connection: AsyncConnection,
    keys: RecordKeys,
    appeal_id: UUID,
    *,
    body: str,
    direction: str,
    language: str,
    author: str,
) -> UUID:
    """Insert an empty request; returns its id."""
    identity = uuid4()
    await connection.execute(
        insert(body_request).values(
            id=identity,
            appeal_id=appeal_id,
            body=body,
            direction=direction,
            language=language,
            state=RequestState.DRAFTED.value,
            version=1,
            begun_at=datetime.now(UTC),
            author=author,
            **seal_draft(keys, identity, EMPTY),
        )
    )
    return identity


async def find(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, identity: UUID
) -> BodyRequest:
    """The request of this appeal with this id. Raises NotFound, DecryptionFailed."""
    return await _find(connection, keys, appeal_id, identity, alone=False)


async def lock(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, identity: UUID, version: int
) -> BodyRequest:
    """The request, locked until this transaction ends.

    Raises NotFound, DecryptionFailed; VersionConflict when it was changed since.
    """
    found = await _find(connection, keys, appeal_id, identity, alone=True)
    if found.version != version:
        raise VersionConflict
    return found


async def list_of_appeal(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> list[BodyRequest]:
    """Requests of an appeal, the latest first. Raises DecryptionFailed."""
    rows = await connection.execute(
        _REQUESTS.where(body_request.c.appeal_id == appeal_id).order_by(
            body_request.c.begun_at.desc(), body_request.c.id
        )
    )
    return [_request(keys, row) for row in rows]


async def list_steps(
    connection: AsyncConnection, keys: RecordKeys, requests: Sequence[UUID]
) -> list[tuple[UUID, StoredStep]]:
    """Steps of some requests, each with the id of its request, in order."""
    rows = await connection.execute(
        select(body_request_step)
        .where(body_request_step.c.request_id.in_(requests))
        .order_by(body_request_step.c.at, body_request_step.c.ordinal)
    )
    return [
        (
            row.request_id,
            StoredStep(
                RequestStep(row.step),
                RequestState(row.state),
                row.at,
                row.author,
                keys.open(row.request_id, row.sealed).get("reason", ""),
                _package(keys.open(row.request_id, row.package)),
            ),
        )
        for row in rows
    ]


async def list_copies(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> frozenset[UUID]:
    """Copies of pictures that the requests of an appeal have, or had when they were ready.

    What was withdrawn has no others.
    """
    requests = await list_of_appeal(connection, keys, appeal_id)
    steps = await list_steps(connection, keys, [each.id for each in requests])
    drafts = (each.draft.files for each in requests if each.state is not RequestState.WITHDRAWN)
    packages = (step.package.files for _, step in steps if step.package is not None)
    files = chain.from_iterable(chain(drafts, packages))
    return frozenset(each.id for each in files if each.original is not None)


async def put_draft(
    connection: AsyncConnection, keys: RecordKeys, identity: UUID, draft: RequestDraft
) -> None:
    """Store what was chosen of a locked request."""
    await _change(connection, identity, **seal_draft(keys, identity, draft))


def seal_draft(keys: RecordKeys, identity: UUID, draft: RequestDraft) -> dict[str, Any]:
    """Columns of a request: what was chosen of it so far, encrypted."""
    own = {"words": draft.words} | _plain({"files": [asdict(each) for each in draft.files]})
    chosen = {
        "fields": dict(draft.fields),
        "cleared": sorted([each.kind.value, each.text] for each in draft.cleared),
    }
    return {"sealed": keys.seal(identity, own), "chosen": keys.seal(identity, chosen)}


def seal_step(
    keys: RecordKeys, identity: UUID, reason: str, package: RequestPackage | None = None
) -> dict[str, Any]:
    """Columns of a step: its reason and what was made ready by it, encrypted, with its hash."""
    columns: dict[str, Any] = {"sealed": keys.seal(identity, {"reason": reason} if reason else {})}
    if package is not None:
        sealed = keys.seal(identity, _plain(asdict(package)))
        columns |= {"package": sealed, "sha256": package.sha256}
    return columns


async def add_step(
    connection: AsyncConnection,
    identity: UUID,
    step: RequestStep,
    after: RequestState,
    facts: StepFacts,
    *,
    author: str,
    due_on: date | None = None,
    notice_due_on: date | None = None,
    sealed: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Move a locked request and add the step, with the columns that `seal_step` made.

    Once somebody saw to the notice to the applicant, no day of it is alerted about. That they are
    not notified yet takes back that they were, which was noted by mistake.
    """
    facts_of_body = {
        "number": facts.number,
        "dated": facts.dated,
        "due_on": due_on,
        "notice_due_on": notice_due_on,
        "competent": facts.competent,
    }
    values: dict[str, object] = {name: value for name, value in facts_of_body.items() if value}
    now = datetime.now(UTC)
    if step in NOTICES:
        is_notified = step is RequestStep.NOTIFIED
        values |= {"notified_at": now if is_notified else None, "notice_due_on": None}
    await _change(connection, identity, state=after.value, **values)
    taken = select(func.count() + 1).where(body_request_step.c.request_id == identity)
    await connection.execute(
        insert(body_request_step).values(
            request_id=identity,
            ordinal=taken.scalar_subquery(),
            step=step.value,
            state=after.value,
            at=now,
            author=author,
            **sealed,
        )
    )


async def is_with_body(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether a body has a request of this appeal, and has not ended it."""
    return await _has_one(connection, appeal_id, IS_WITH_BODY)


async def is_waiting(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether a request of this appeal is ready, and has not left."""
    return await _has_one(connection, appeal_id, IS_WAITING)


async def lock_late(connection: AsyncConnection, today: date) -> list[LateRequest]:
    """Requests whose last day is over, locked; without those that are marked as very overdue."""
    names = ("id", "body", "state", "due_on")
    query = (
        select(*(body_request.c[name] for name in names), appeal.c.number)
        .join(appeal, appeal.c.id == body_request.c.appeal_id)
        .where(
            text(IS_WITH_BODY),
            body_request.c.due_on < today,
            body_request.c.state != RequestState.VERY_OVERDUE.value,
        )
        .order_by(body_request.c.due_on, body_request.c.id)
        .with_for_update(of=body_request, skip_locked=True)
    )
    return [
        LateRequest(row.id, row.body, RequestState(row.state), row.due_on, row.number)
        for row in await connection.execute(query)
    ]


async def lock_waiting(connection: AsyncConnection, now: datetime) -> list[Row[Any]]:
    """Requests that do not leave yet, locked: id, body, leaves_at, is_urgent.

    A process of a version before has planned none: `leaves_at` is None.
    """
    columns = [body_request.c[name] for name in ("id", "body", "leaves_at")]
    query = (
        select(*columns, LEAVES_AT_ONCE.label("is_urgent"))
        .join(appeal, appeal.c.id == body_request.c.appeal_id)
        .outerjoin(record, record.c.appeal_id == appeal.c.id)
        .where(text(IS_WAITING), func.coalesce(body_request.c.leaves_at > now, true()))
        .with_for_update(of=body_request, skip_locked=True)
    )
    return list(await connection.execute(query))


async def put_departure(connection: AsyncConnection, identity: UUID, leaves_at: datetime) -> None:
    """Store when a locked request leaves; nobody who works on it is in the way of that."""
    await connection.execute(
        update(body_request).where(body_request.c.id == identity).values(leaves_at=leaves_at)
    )


async def list_due(connection: AsyncConnection, now: datetime) -> list[Row[Any]]:
    """Requests to be handed over by now: id, version, leaves_at, is_urgent, appeal's number.

    One that nobody planned, or that became urgent and was not planned anew, is due too.
    """
    columns = [*(body_request.c[name] for name in ("id", "version", "leaves_at")), appeal.c.number]
    query = (
        select(*columns, LEAVES_AT_ONCE.label("is_urgent"))
        .join(appeal, appeal.c.id == body_request.c.appeal_id)
        .outerjoin(record, record.c.appeal_id == appeal.c.id)
        .where(text(IS_WAITING), is_due(now))
        .order_by(body_request.c.leaves_at, body_request.c.id)
    )
    return list(await connection.execute(query))


def is_due(now: datetime) -> ColumnElement[bool]:
    """Condition on a request that waits, its appeal and record: it leaves by now."""
    return or_(body_request.c.leaves_at <= now, body_request.c.leaves_at.is_(None), LEAVES_AT_ONCE)


async def is_urgent(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether the requests of an appeal leave at once (R11)."""
    query = (
        select(LEAVES_AT_ONCE)
        .select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
        .where(appeal.c.id == appeal_id)
    )
    return bool((await connection.execute(query)).scalar_one())


async def list_late_notices(connection: AsyncConnection, today: date) -> list[Row[Any]]:
    """Requests whose applicants should know by now which body has them: id, appeal's number."""
    query = (
        select(body_request.c.id, appeal.c.number)
        .join(appeal, appeal.c.id == body_request.c.appeal_id)
        .join(record, record.c.appeal_id == appeal.c.id)
        .where(is_notice_due(), body_request.c.notice_due_on < today)
        .order_by(body_request.c.notice_due_on, body_request.c.id)
    )
    return list(await connection.execute(query))


def is_notice_due() -> ColumnElement[bool]:
    """Condition on a request and its record: the applicant is to be notified (APPC, 65(1)).

    Until the appeal ends: then its answer says more.
    """
    return and_(
        _HAS_LEFT,
        body_request.c.notified_at.is_(None),
        record.c.registered_on.is_not(None),
        is_open(),
    )


async def move_requests(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the requests of an appeal to the one that it goes on in.

    What was chosen of its record is chosen anew, unless it has left: the other has its own people.
    They are to be notified too, unless the same caller was: today, where no day of it runs.
    """
    requests = update(body_request).where(body_request.c.appeal_id == appeal_id)
    await connection.execute(requests.where(~_HAS_LEFT).values(chosen=None))
    this, other = appeal.alias(), appeal.alias()
    is_same = exists().where(
        this.c.id == appeal_id, other.c.id == into, this.c.caller_number == other.c.caller_number
    )
    due_on = func.coalesce(body_request.c.notice_due_on, datetime.now(ZONE).date())
    of_others = requests.where(_HAS_LEFT, ~is_same)
    await connection.execute(of_others.values(notified_at=None, notice_due_on=due_on))
    await connection.execute(requests.values(appeal_id=into))


async def _has_one(connection: AsyncConnection, appeal_id: UUID, condition: str) -> bool:
    query = select(body_request.c.id).where(body_request.c.appeal_id == appeal_id, text(condition))
    return (await connection.execute(query.limit(1))).first() is not None


async def _find(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, identity: UUID, *, alone: bool
) -> BodyRequest:
    query = _REQUESTS.where(body_request.c.id == identity, body_request.c.appeal_id == appeal_id)
    if alone:
        query = query.with_for_update(of=body_request)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(NOT_THERE)
    return _request(keys, row)


async def _change(connection: AsyncConnection, identity: UUID, **values: object) -> None:
    await connection.execute(
        update(body_request)
        .where(body_request.c.id == identity)
        .values(version=body_request.c.version + 1, **values)
    )


def _request(keys: RecordKeys, row: Row[Any]) -> BodyRequest:
    values = {each: row._mapping[each] for each in BodyRequest.__slots__ if each != "draft"}
    read = {
        "state": RequestState(row.state),
        "draft": _draft(keys.open(row.id, row.sealed), keys.open(row.id, row.chosen)),
        "package": _package(keys.open(row.id, row.package)),
    }
    return BodyRequest(**values | read)


def _draft(own: dict[str, Any], chosen: dict[str, Any]) -> RequestDraft:
    draft = RequestDraft(own["words"], files=_files(own)) if own else EMPTY
    if not chosen:
        return draft
    cleared = (TextFinding(FindingKind(kind), said) for kind, said in chosen["cleared"])
    return replace(draft, fields=chosen["fields"], cleared=frozenset(cleared))


def _package(values: dict[str, Any]) -> RequestPackage | None:
    return RequestPackage(values["text"], _files(values)) if values else None


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values with files as JSON has them."""
    files = [
        each | {"id": str(each["id"]), "original": each["original"] and str(each["original"])}
        for each in values["files"]
    ]
    return values | {"files": files}


def _files(values: dict[str, Any]) -> tuple[ReleasedFile, ...]:
    return tuple(
        ReleasedFile(
            **each
            | {"id": UUID(each["id"]), "original": each["original"] and UUID(each["original"])}
        )
        for each in values["files"]
    )
