"""Rights of the processes on the tables of identity."""

from callcenter.platform.identity.tables import (
    answered_request,
    invitation,
    machine,
    recovery_code,
    refusal_count,
    second_factor,
    sign_in_attempt,
    sign_in_device,
    sign_in_entrance,
    web_identity,
    web_session,
    web_user,
)
from callcenter.platform.storage.table_rights import TableRights

#: The least that each process works with, by table.
RIGHTS = (
    TableRights(
        web_user,
        controller="s",
        worker="s",
        web="siu",
        columns={
            ("controller", "s"): ("consultant_id", "active", "entitled", "name", "role"),
            ("worker", "s"): (
                "id",
                "name",
                "role",
                "active",
                "created_at",
                "consultant_id",
                "full_name",
                "position",
                "entitled",
            ),
        },
    ),
    TableRights(web_identity, web="siud"),
    TableRights(
        web_session,
        controller="s",
        worker="sud",
        web="siud",
        columns={
            ("controller", "s"): ("token_hash", "created_at", "seen_at"),
            ("worker", "s"): ("token_hash", "created_at", "seen_at"),
            ("worker", "u"): ("seen_at",),
        },
    ),
    TableRights(
        sign_in_entrance,
        worker="sud",
        web="siud",
        columns={("worker", "s"): ("token_hash", "created_at"), ("worker", "u"): ("created_at",)},
    ),
    TableRights(invitation, web="siud"),
    TableRights(second_factor, web="siud"),
    TableRights(recovery_code, web="siud"),
    TableRights(
        sign_in_attempt,
        worker="sud",
        web="siud",
        columns={("worker", "s"): ("scope", "key", "last_at"), ("worker", "u"): ("last_at",)},
    ),
    TableRights(sign_in_device, web="siud"),
    TableRights(refusal_count, worker="sd", web="siud"),
    TableRights(machine, web="siu"),
    TableRights(answered_request, worker="sd", web="siud"),
)
