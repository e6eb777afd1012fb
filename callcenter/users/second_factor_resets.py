"""Reset of a user's second factor: one administrator asks for it, another decides.

Alone an administrator with a new password would come in as anybody. Where there is one alone,
`callcenter users reset-second-factor` on the machine does it.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.identity import approvals, second_factor_store
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.store import find_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.users import second_factor_resets_store as store
from callcenter.users.actions import AccountAction
from callcenter.users.tables import second_factor_reset


async def request(engine: AsyncEngine, actor: Actor, name: str, reason: str) -> UUID:
    """Ask for the reset of a user's second factor; returns the id of the request.

    Raises NotFound, and InvalidRequest without a reason or a factor, or when a request waits.
    """
    reason = approvals.check_reason(reason)
    async with unit_of_work(engine) as connection:
        user = await find_user(connection, name)
        if user is None:
            raise NotFound
        if not await second_factor_store.has_one(connection, name):
            raise InvalidRequest(f"{name} has no second factor")
        request_id = await approvals.add_request(
            connection, second_factor_reset, actor, reason, user_id=user.id
        )
        detail = {"reason": reason}
        await audit_action(
            connection, actor, AccountAction.SECOND_FACTOR_RESET_REQUESTED, f"user:{name}", detail
        )
    return request_id


async def decide(
    engine: AsyncEngine, actor: Actor, request_id: UUID, *, approve: bool, reason: str
) -> None:
    """Approve or refuse another's request, with a reason.

    Approved, the factor is gone at once. Raises NotFound when nothing waits under this id,
    SelfApproval, InvalidRequest without a reason or when the factor is gone already.
    """
    reason = approvals.check_reason(reason)
    async with approvals.deciding(engine, second_factor_reset, request_id, actor) as connection:
        row = await store.find(connection, request_id)
        await approvals.save_decision(
            connection, second_factor_reset, request_id, actor, approve=approve, reason=reason
        )
        action = AccountAction.SECOND_FACTOR_RESET_REFUSED
        if approve:
            action = AccountAction.SECOND_FACTOR_RESET_ON_PAGE
            await second_factor_store.remove(connection, row.name)
            await store.mark_done(connection, request_id)
        detail = {"reason": reason, "asked_by": row.asked_by}
        await audit_action(connection, actor, action, f"user:{row.name}", detail)
