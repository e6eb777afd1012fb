"""The room of users: what it registers."""

from callcenter.platform.core.personal_data import Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.users.actions import AccountAction
from callcenter.users.permissions import UserPermission
from callcenter.users.tables import second_factor_reset

ROOM = Room(
    name="users",
    web="callcenter.users.web_module",
    offers=(
        *UserPermission,
        *AccountAction,
        PersonalData(
            second_factor_reset,
            ("reason", "decision"),
            Permanent("the proof of why a second factor was reset"),
        ),
        TableRights(second_factor_reset, web="siu"),
    ),
)
