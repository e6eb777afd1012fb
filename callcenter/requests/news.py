"""Bodies that have an appeal: from then on they are the source of news of it (R22)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import false, func, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.extensions import NewsSource, NewsSources
from callcenter.appeals.tables import IS_URGENT, record
from callcenter.bodies.rules.directory import Body, ContactState
from callcenter.bodies.store import read_directory
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.timezone import ZONE
from callcenter.requests.tables import IS_WITH_BODY, body_request


async def read_sources(connection: AsyncConnection, appeal_id: UUID) -> Sequence[NewsSource]:
    """The bodies that have an appeal, the latest first, each once.

    None of an urgent appeal, by key or by its record: a number and four digits are known to whoever
    is at home too, and must not tell them that somebody turned to the police. A consultant names
    the body.
    """
    query = (
        select(body_request.c.body, body_request.c.number, body_request.c.dated)
        .join(appeal, appeal.c.id == body_request.c.appeal_id)
        .join(record, record.c.appeal_id == appeal.c.id)
        .where(
            appeal.c.id == appeal_id,
            text(IS_WITH_BODY),
            appeal.c.urgent == literal_column("'{}'"),
            ~func.coalesce(IS_URGENT, false()),
        )
        .order_by(body_request.c.begun_at.desc(), body_request.c.id)
    )
    rows = list(await connection.execute(query))
    if not rows:
        return ()
    bodies, now = (await read_directory(connection)).bodies, datetime.now(UTC)
    today = now.astimezone(ZONE).date()
    latest: dict[str, Any] = {}
    for row in rows:
        latest.setdefault(row.body, row)
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
        for row in latest.values()
    ]


def _verified_telephone(body: Body, now: datetime) -> str | None:
    """A telephone for callers that somebody vouches for: E.164 or short."""
    contact = body.telephone(now)
    is_verified = contact is not None and contact.state(now) is ContactState.VERIFIED
    return parse_caller_id(contact.value).number if contact and is_verified else None


NEWS_SOURCES = NewsSources(read_sources)
