"""Giving appeals to somebody: one of them, or all that a user has."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import MovesWithAppeal
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import store
from callcenter.appeals.record.service import (
    add_transition,
    audit_appeal,
    get_appeal,
    lock_record,
)
from callcenter.appeals.record.store import OwnerCount, Record
from callcenter.appeals.rules.states import ENDED
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.registry import offers
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

AT_ONCE_LIMIT = 500  # appeals; of more the rest is given by another press


async def list_choices(engine: AsyncEngine) -> tuple[Sequence[OwnerCount], Sequence[str]]:
    """People with open appeals, those who left first, and those who may be given them."""
    async with unit_of_work(engine) as connection:
        owners = await store.count_open_by_owner(connection)
        return owners, await find_assignees(connection)


async def assign(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    owner: str,
    reason: str,
) -> Record:
    """Give an open appeal to somebody, who answers for it from then on.

    Raises InvalidRequest: to nobody who may have it, without a reason, of an ended appeal;
    EditConflict.
    """
    async with unit_of_work(engine) as connection:
        await _check(connection, owner, reason)
        row = await get_appeal(connection, number)
        before = await lock_record(connection, keys, actor, row.id, version, {})
        if before.version == 0 or before.stage in ENDED or before.owner == owner:
            raise InvalidRequest("only an open appeal with a record is given, and to another")
        await _give(connection, actor, before, owner, reason)
        detail = {"before": before.owner or "", "after": owner}
        await audit_appeal(connection, actor, AppealAction.RECORD_ASSIGNED, number, **detail)
        return await store.find(connection, keys, row.id)


async def assign_all(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, before: str, owner: str, reason: str
) -> int:
    """Give all open appeals of a user to another; how many, up to `AT_ONCE_LIMIT`.

    For somebody who left, and for a deputy. Raises InvalidRequest as `assign` does, and when the
    user has none.
    """
    async with unit_of_work(engine) as connection:
        await _check(connection, owner, reason)
        if before == owner:
            raise InvalidRequest("choose another person")
        ids = await store.list_open_of_owner(connection, before, AT_ONCE_LIMIT)
        if not ids:
            raise InvalidRequest("this person has no open appeals")
        for appeal_id in ids:
            record = await store.find(connection, keys, appeal_id, alone=True)
            await _give(connection, actor, record, owner, reason)
        await audit_action(
            connection,
            actor,
            AppealAction.RECORDS_ASSIGNED,
            f"user:{before}",
            {"after": owner, "appeals": len(ids), "reason": reason.strip()},
        )
    return len(ids)


async def find_assignees(connection: AsyncConnection) -> list[str]:
    """The names of users to whom appeals may be given: who works, and may edit records."""
    return [
        each.name
        for each in await users.all_users(connection)
        if each.active and each.role in AppealPermission.EDIT_APPEALS.granted_to
    ]


async def _check(connection: AsyncConnection, owner: str, reason: str) -> None:
    if owner not in await find_assignees(connection):
        raise InvalidRequest("choose somebody who works here and may edit records")
    if not reason.strip():
        raise InvalidRequest("say why the appeal is given to another person")


async def _give(
    connection: AsyncConnection, actor: Actor, before: Record, owner: str, reason: str
) -> None:
    said = f"given to {owner}: {reason.strip()}"  # as labels read it
    await add_transition(connection, actor, before, before.stage, said, {"owner": owner})
    for each in offers(MovesWithAppeal):
        if each.given is not None:
            await each.given(connection, before.appeal_id, owner)
