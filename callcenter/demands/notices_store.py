"""Addresses of the authority and the notices that wait to be mailed, in PostgreSQL."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.demands.tables import authority_address, demand, demand_notice
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.tables import web_user


@dataclass(frozen=True, slots=True)
class NoticeAddress:
    """An address of the authority. It is personal data: never log it."""

    address: str
    language: str


@dataclass(frozen=True, slots=True)
class DemandNotice:
    """A notice that waits to be mailed, with where it goes."""

    id: UUID
    number: str
    matter: str
    address: str
    language: str


async def address_of(connection: AsyncConnection, user_id: UUID) -> NoticeAddress | None:
    """The address of this user, if any was entered."""
    query = select(authority_address.c.address, authority_address.c.language)
    found = await connection.execute(query.where(authority_address.c.user_id == user_id))
    row = found.one_or_none()
    return NoticeAddress(*row) if row else None


async def save_address(
    connection: AsyncConnection, user_id: UUID, given: NoticeAddress | None
) -> None:
    """Save the address of this user, or delete it."""
    if given is None:
        this = authority_address.c.user_id == user_id
        await connection.execute(delete(authority_address).where(this))
        return
    values = {"address": given.address, "language": given.language}
    await connection.execute(
        insert(authority_address)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["user_id"], set_=values)
    )


async def add(connection: AsyncConnection, demand_id: UUID, matter: str) -> bool:
    """Add a notice for each of the authority with an address; False when none is new."""
    recipients = (
        select(
            func.gen_random_uuid(),
            literal(demand_id),
            literal(matter),
            authority_address.c.user_id,
            literal(datetime.now(UTC)),
        )
        .join(web_user, web_user.c.id == authority_address.c.user_id)
        .where(web_user.c.active, web_user.c.role == Role.AUTHORITY.value)
    )
    names = ["id", "demand_id", "matter", "user_id", "created_at"]
    added = await connection.execute(
        insert(demand_notice)
        .from_select(names, recipients)
        .on_conflict_do_nothing()
        .returning(demand_notice.c.id)
    )
    return bool(added.all())


async def lock_next(
    connection: AsyncConnection, since: datetime, before: datetime
) -> DemandNotice | None:
    """The oldest notice of this time that waits, locked; those that others lock are left out."""
    query = (
        select(
            demand_notice.c.id,
            demand.c.number,
            demand_notice.c.matter,
            authority_address.c.address,
            authority_address.c.language,
        )
        .join(demand, demand.c.id == demand_notice.c.demand_id)
        .join(authority_address, authority_address.c.user_id == demand_notice.c.user_id)
        .where(
            demand_notice.c.ended_at.is_(None),
            demand_notice.c.created_at > since,
            demand_notice.c.created_at <= before,
        )
        .order_by(demand_notice.c.created_at, demand_notice.c.id)
        .limit(1)
        .with_for_update(of=demand_notice, skip_locked=True)
    )
    row = (await connection.execute(query)).one_or_none()
    return DemandNotice(*row) if row else None


async def mark_ended(connection: AsyncConnection, notice_id: UUID) -> None:
    """Note that a notice is not to be mailed again."""
    await connection.execute(
        update(demand_notice)
        .where(demand_notice.c.id == notice_id)
        .values(ended_at=datetime.now(UTC))
    )
