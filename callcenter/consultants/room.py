"""The room of consultants: what it registers."""

from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import Select, select

from callcenter.consultants.actions import ConsultantAction
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.tables import (
    browser_telephone,
    consultant,
    consultant_skill,
    consultant_state,
    pause_reason,
    skill,
)
from callcenter.platform.core.personal_data import Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.identity.tables import web_user
from callcenter.platform.identity.teams import TeamScope
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.platform.storage.table_rights import TableRights


def _select_team(user_id: UUID) -> Select[tuple[UUID]]:
    own = consultant.alias("own")
    return (
        select(consultant.c.id)
        .join(own, own.c.team.is_not_distinct_from(consultant.c.team))
        .join(web_user, web_user.c.consultant_id == own.c.id)
        .where(web_user.c.id == user_id)
    )


async def _keep_history(tools: WorkerResources, redis: Redis) -> None:
    """Save changes of states of consultants."""
    from callcenter.consultants.jobs import keep_history
    from callcenter.consultants.presence import PresenceService

    await keep_history(PresenceService(redis, tools.settings), tools.engine)


ROOM = Room(
    name="consultants",
    web="callcenter.consultants.web_module",
    offers=(
        *ConsultantPermission,
        *ConsultantAction,
        WorkerLoop("state_history", _keep_history),
        TeamScope(_select_team),
        PersonalData(
            consultant,
            ("extension", "name"),
            Permanent("appeals say who talked; consultants are only deactivated"),
        ),
        TableRights(consultant, controller="s", worker="s", web="siu"),
        TableRights(consultant_state, controller="s", worker="si", web="s"),
        TableRights(consultant_skill, controller="s", worker="s", web="siud"),
        TableRights(pause_reason, controller="s", worker="s", web="siu"),
        TableRights(skill, controller="s", worker="s", web="siu"),
        TableRights(browser_telephone, controller="s", web="siu"),
    ),
)
