"""Answers to API clients whose visitors prove whose appeal it is (R13)."""

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.extensions import NewsSources
from callcenter.appeals.status import lookup
from callcenter.appeals.status.lookup import AppealStatusRow
from callcenter.platform.core.errors import NotFound
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work


async def tell_status(
    engine: AsyncEngine,
    actor: Actor,
    visitor: str,
    number: str,
    proof: str,
    *,
    client_attempt_limit: int,
) -> AppealStatusRow:
    """Tell a visitor of the API client the status of an appeal; the audit log says so.

    Raises NotFound without a proof, and after too many tries: never which.
    """
    async with unit_of_work(engine) as connection:
        status = await lookup.look_up_for_client(
            connection,
            actor.machine or "",
            visitor,
            number,
            proof,
            client_attempt_limit=client_attempt_limit,
        )
        if status is not None:
            await audit_action(connection, actor, AppealAction.STATUS_TOLD, f"appeal:{number}")
    if status is None:  # the try is counted: its transaction is over
        raise NotFound("nothing is known by this number and this code, or it was tried too often")
    return await lookup.name_sources(engine, status, offers(NewsSources))
