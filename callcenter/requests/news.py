"""Bodies that have an appeal: from then on they are the source of news of it (R22)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact import store as contact_store
from callcenter.appeals.contact.rules import ContactWish
from callcenter.appeals.extensions import NewsSource, NewsSources
from callcenter.appeals.form.store import read_form
from callcenter.appeals.record.store import IS_URGENT_CASE, select_related
from callcenter.appeals.tables import record, record_change
from callcenter.bodies.rules.directory import Body, ContactState
from callcenter.bodies.store import read_bodies
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.timezone import ZONE
from callcenter.requests.rules.discretion import needs_discretion
from callcenter.requests.tables import IS_WITH_BODY, body_request

#: Changes that made a record urgent, or took that back (R11).
_WAS_URGENT = or_(
    record_change.c.differences["kind"].contains(["danger"]),
    record_change.c.differences["danger"].contains(["yes"]),
    record_change.c.differences["urgency"].contains(["urgent"]),
)


async def read_sources(connection: AsyncConnection, appeal_id: UUID) -> Sequence[NewsSource]:
    """The bodies that have an appeal, a row for each request, the latest first.

    None where a machine may not name them: a consultant does.
    """
    query = (
        select(body_request.c.body, body_request.c.number, body_request.c.dated)
        .where(body_request.c.appeal_id == appeal_id, text(IS_WITH_BODY))
        .order_by(body_request.c.begun_at.desc(), body_request.c.id)
    )
    rows = list(await connection.execute(query))
    if not rows or not await _may_be_named(connection, appeal_id):
        return ()
    bodies, now = await read_bodies(connection, {row.body for row in rows}), datetime.now(UTC)
    today = now.astimezone(ZONE).date()
    return [
        NewsSource(
            {
                language: bodies[row.body].name_on(today).in_language(language)
                for language in CALLER_LANGUAGES
            },
            row.number,
            row.dated,
            _verified_telephone(bodies[row.body], now),
        )
        for row in rows
    ]


async def _may_be_named(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether a machine may say which body has an appeal, to whoever has its receipt.

    The receipt lies at home too. So nothing is said where that may be the danger: of an appeal, or
    one that was split off or joined, that is or was urgent, is about the home or about nothing
    that is known, or of whose people somebody limited how they may be reached.
    """
    related = select_related(appeal_id)
    query = (
        select(
            func.bool_or(IS_URGENT_CASE),
            func.bool_or(record.c.danger_passed_at.is_not(None)),
            exists(record_change.c.appeal_id).where(
                record_change.c.appeal_id.in_(related), _WAS_URGENT
            ),
        )
        .select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
        .where(appeal.c.id.in_(related))
    )
    if any((await connection.execute(query)).one()):
        return False
    if await _is_contact_limited(connection, [row.id for row in await connection.execute(related)]):
        return False
    topics = select(record.c.content["topics"]).where(record.c.appeal_id.in_(related))
    found = (await connection.scalars(topics)).all()
    options = (await read_form(connection)).options("topics")
    return not any(needs_discretion(each or (), options) for each in found)


async def _is_contact_limited(connection: AsyncConnection, appeal_ids: Sequence[UUID]) -> bool:
    """Whether somebody ever limited how people of these appeals may be reached.

    Said of another appeal it counts for its numbers, which these may have too.
    """
    said: list[ContactWish] = []
    numbers: set[str] = set()
    for each in appeal_ids:
        said += await contact_store.list_of_appeal(connection, each)
        numbers.update((await contact_store.find_numbers(connection, each)).every)
    for number in numbers:
        said += await contact.list_of_number(connection, number)
    return any(wish.restricts for wish in said)


def _verified_telephone(body: Body, now: datetime) -> str | None:
    """A telephone for callers that somebody vouches for: E.164 or short."""
    found = body.telephone(now)
    is_verified = found is not None and found.state(now) is ContactState.VERIFIED
    return parse_caller_id(found.value).number if found and is_verified else None


NEWS_SOURCES = NewsSources(read_sources)
