"""The room of intake: what it registers."""

from datetime import datetime

from sqlalchemy import ColumnElement, func

from callcenter.appeals.extensions import (
    AppealSection,
    FurtherNumbers,
    MovesWithAppeal,
    SearchableText,
    TimelineSource,
    UnreadBy,
)
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record.personal_data import PersonalDataPart
from callcenter.appeals.search.worklists import WorkList, WorkListReader
from callcenter.intake import queue_store, service, store
from callcenter.intake.actions import IntakeAction
from callcenter.intake.alerts import ALERTS
from callcenter.intake.drivers.portal import store as portal_store
from callcenter.intake.drivers.portal.collector import run_collector
from callcenter.intake.drivers.portal.exits import read_exit
from callcenter.intake.drivers.portal.tables import portal_message
from callcenter.intake.permissions import IntakePermission
from callcenter.intake.tables import intake_message, written_contact
from callcenter.platform.core.errors import N_
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.jobs import WorkerLoop
from callcenter.platform.storage.table_rights import FunctionRight, TableRights

#: All that the portal may do in the database (migrations 0120 and 0122 to 0124).
PORTAL_FUNCTIONS = (
    "portal_receive(uuid,uuid,boolean,bytea)",
    "portal_give_receipt(uuid,bytea,text,bytea,bytea)",
    "portal_read_copies(smallint,integer,bytea)",  # of the version before; goes with the next
    "portal_read_newest_copies(smallint,integer,bytea,uuid)",
    "portal_note_exit(uuid)",
)


def _is_unread(_reader: WorkListReader) -> ColumnElement[bool]:
    """Something written there is to be read, by whomever it is offered to."""
    return queue_store.is_unread()


def _is_in_own_hand(reader: WorkListReader) -> ColumnElement[bool]:
    """The reader has what was written in hand."""
    return queue_store.is_in_hand_of(reader.user)


def _is_to_be_read(_now: datetime) -> ColumnElement[bool]:
    return queue_store.is_unread()


ROOM = Room(
    name="intake",
    web="callcenter.intake.web_module",
    jobs=("callcenter.intake.jobs",),
    offers=(
        *IntakePermission,
        *IntakeAction,
        AppealSection(
            N_("Written messages"),
            "intake/messages.html",
            AppealPermission.SEE_SENSITIVE,
            service.read_section,
            anchor="written",
            summary="intake/messages_summary.html",
            has_digit=False,
            helps=True,
        ),
        TimelineSource(AppealPermission.SEE_SENSITIVE, service.read_timeline),
        SearchableText(service.searchable),
        FurtherNumbers(service.list_numbers),
        MovesWithAppeal(joined=store.move),
        MovesWithAppeal(joined=queue_store.move, entered=queue_store.end, given=queue_store.give),
        UnreadBy(queue_store.is_unread_by),
        WorkList(25, "written", N_("Written, to be read"), _is_unread, is_pressing=True),
        WorkList(54, "written_mine", N_("Written, in my hand"), _is_in_own_hand),
        RetentionReason(
            "written", N_("They stay: what was written is still to be read."), _is_to_be_read
        ),
        *ALERTS,
        PersonalDataPart(
            intake_message,
            ("sealed",),
            key="written",
            label=N_("Written messages: %(count)s"),
            of=intake_message.c.appeal_id.in_,
            is_personal=intake_message.c.sealed.is_not(None),
            erased={"sealed": None},
        ),
        MovesWithAppeal(joined=portal_store.move),
        AppealSection(
            N_("Left quickly"),
            "intake/exit.html",
            AppealPermission.SEE_SENSITIVE,
            read_exit,
            anchor="exit",
            summary="intake/exit_summary.html",
            has_digit=False,
            helps=True,
        ),
        WorkerLoop("portal", run_collector),
        PersonalDataPart(
            portal_message,
            ("sealed", "proof_hash", "recipient", "locked", "sealed_copy"),
            key="portal",
            label=N_("Copies for writers on the portal: %(count)s"),
            of=portal_message.c.appeal_id.in_,
            is_personal=portal_message.c.recipient.is_not(None)
            | portal_message.c.receipt_at.is_(None),
            erased={
                # Whose receipt was not made yet: it is made of nothing that is erased.
                "receipt_at": func.coalesce(portal_message.c.receipt_at, func.now()),
                "proof_hash": None,
                "recipient": None,
                "locked": None,
                "sealed_copy": None,
                "left_at": None,
            },
        ),
        TableRights(intake_message, worker="siu", web="siu"),
        TableRights(written_contact, worker="siu", web="siu"),
        TableRights(
            portal_message,
            worker="su",
            web="su",
            # To count and erase copies, to move them, and to see exits; never what waits, nor a
            # copy itself.
            columns={
                ("web", "s"): ("id", "appeal_id", "receipt_at", "recipient", "left_at"),
                ("web", "u"): (
                    *("appeal_id", "receipt_at"),
                    *("proof_hash", "recipient", "locked", "sealed_copy", "left_at"),
                ),
            },
        ),
        *(FunctionRight(each, DatabaseRole.PORTAL) for each in PORTAL_FUNCTIONS),
        FunctionRight("portal_end_sessions(interval)", DatabaseRole.WORKER),
    ),
)
