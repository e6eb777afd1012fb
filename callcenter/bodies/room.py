"""The room of state bodies: what it registers."""

from callcenter.bodies.actions import BodyAction
from callcenter.bodies.permissions import BodyPermission
from callcenter.bodies.tables import body, body_contact, body_name
from callcenter.platform.core.personal_data import Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights

ROOM = Room(
    name="bodies",
    web="callcenter.bodies.web_module",
    offers=(
        *BodyPermission,
        *BodyAction,
        PersonalData(
            body_contact,
            ("value",),
            Permanent("a number by which an official is reached in office, until it is changed"),
        ),
        TableRights(body, web="siu"),
        TableRights(body_name, web="sid"),
        TableRights(body_contact, web="siud"),
    ),
)
