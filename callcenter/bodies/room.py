"""The room of state bodies: what it registers."""

from callcenter.appeals.extensions import AppealSection, MovesWithAppeal, TimelineSource
from callcenter.appeals.permissions import AppealPermission
from callcenter.bodies import referrals, store
from callcenter.bodies.actions import BodyAction
from callcenter.bodies.permissions import BodyPermission
from callcenter.bodies.tables import body, body_contact, body_name, body_referral
from callcenter.platform.core.errors import N_
from callcenter.platform.core.personal_data import Erasure, Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights

ROOM = Room(
    name="bodies",
    web="callcenter.bodies.web_module",
    offers=(
        *BodyPermission,
        *BodyAction,
        AppealSection(
            N_("Who is competent"),
            "bodies/section.html",
            BodyPermission.VIEW_BODIES,
            referrals.read_section,
            anchor="bodies",
            helps=True,
        ),
        TimelineSource(AppealPermission.VIEW_APPEALS, referrals.read_timeline),
        MovesWithAppeal(joined=store.move_referrals),
        PersonalData(
            body_contact,
            ("value", "failure"),  # a commissioner's may be the own number of a person
            Erasure(
                "when who edits the directory takes the contact out of it",
                "callcenter.bodies.service:save_body",
            ),
        ),
        PersonalData(
            body_referral, ("said",), Permanent("the proof of what a caller was told (R16)")
        ),
        TableRights(body, controller="s", worker="s", web="siu"),
        TableRights(body_name, controller="s", web="sid"),
        TableRights(body_contact, controller="s", web="siud"),
        TableRights(body_referral, web="siu"),
    ),
)
