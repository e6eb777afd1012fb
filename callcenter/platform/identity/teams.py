"""Teams: the consultants whose conversations a user may hear; a room above answers."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, select

from callcenter.platform.core.registry import offers
from callcenter.platform.identity.tables import web_user


@dataclass(frozen=True, slots=True)
class TeamScope:
    """Extension point: selects the ids of consultants in the team of a user, by the user's id.

    Consultants without a team are one team; a user who is no consultant is in none.
    """

    select: Callable[[UUID], Select[tuple[UUID]]]


def select_team(user_id: UUID) -> Select[tuple[UUID]]:
    """Select the ids of consultants in the team of a user."""
    [scope] = offers(TeamScope)
    return scope.select(user_id)


def select_oneself(user_id: UUID) -> Select[tuple[UUID]]:
    """Select the id of the consultant that a user is."""
    return select(web_user.c.consultant_id).where(
        web_user.c.id == user_id, web_user.c.consultant_id.is_not(None)
    )
