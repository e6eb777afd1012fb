"""The room of appeals: what it registers."""

from sqlalchemy import select

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.alerts import ALERTS
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.contact import sections as contact_sections
from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact import store as contact_store
from callcenter.appeals.contact.ways import APPEAL_WAYS
from callcenter.appeals.extensions import (
    AppealSection,
    CallsUnwanted,
    MovesWithAppeal,
    SearchableText,
    TimelineSource,
)
from callcenter.appeals.followup import (
    follow_up_calls,
    follow_up_calls_store,
    oral_contacts,
    oral_contacts_store,
    psychological_help,
    psychological_help_store,
    safety_plans,
)
from callcenter.appeals.followup import sections as letters_sections
from callcenter.appeals.masking.retention import APPEAL_REASONS
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import letters_store
from callcenter.appeals.record.personal_data import APPEAL_DATA, APPEAL_PARTS
from callcenter.appeals.rights import RIGHTS
from callcenter.appeals.search.worklists import APPEAL_LISTS
from callcenter.appeals.tables import record
from callcenter.platform.core.errors import N_
from callcenter.platform.core.registry import Room
from callcenter.recordings.extensions import RetentionSubject

ROOM = Room(
    name="appeals",
    web="callcenter.appeals.web_module",
    jobs=("callcenter.appeals.jobs",),
    offers=(
        *AppealPermission,
        *AppealAction,
        SearchableText(letters_store.searchable),
        SearchableText(oral_contacts.searchable),
        TimelineSource(AppealPermission.SEE_PERSONAL, letters_sections.read_timeline),
        TimelineSource(AppealPermission.SEE_PERSONAL, oral_contacts.read_timeline),
        AppealSection(
            N_("Oral contacts"),
            "appeals/oral_contacts.html",
            AppealPermission.SEE_PERSONAL,
            oral_contacts.read_section,
            anchor="oral",
        ),
        AppealSection(
            N_("Safety plans of connected appeals"),
            "appeals/safety_plans.html",
            AppealPermission.SEE_SENSITIVE,
            safety_plans.read_section,
            anchor="safety-plans",
            summary="appeals/safety_plans_summary.html",
            has_digit=False,
        ),
        AppealSection(
            N_("Another call in one to three days"),
            "appeals/follow_up.html",
            AppealPermission.EDIT_APPEALS,
            follow_up_calls.read_section,
            anchor="follow-up",
            summary="appeals/follow_up_summary.html",
            has_digit=False,
        ),
        AppealSection(
            N_("Psychological help"),
            "appeals/psychological_help.html",
            AppealPermission.SEE_SENSITIVE,
            psychological_help.read_section,
            anchor="psychology",
        ),
        AppealSection(
            N_("Letters and requests"),
            "appeals/letters.html",
            AppealPermission.SEE_PERSONAL,
            letters_sections.read_section,
            anchor="letters",
        ),
        AppealSection(
            N_("Safe contact"),
            "appeals/contact.html",
            AppealPermission.SEE_PERSONAL,
            contact_sections.read_section,
            anchor="contact",
            summary="appeals/contact_summary.html",
        ),
        CallsUnwanted(contact.are_calls_unwanted),
        MovesWithAppeal(joined=contact_store.copy, split=contact_store.copy),
        MovesWithAppeal(joined=oral_contacts_store.move),
        MovesWithAppeal(joined=psychological_help_store.move),
        MovesWithAppeal(joined=follow_up_calls_store.move),
        *APPEAL_WAYS,
        *APPEAL_REASONS,
        *APPEAL_PARTS,
        *APPEAL_DATA,
        *APPEAL_LISTS,
        *ALERTS,
        *RIGHTS,
        RetentionSubject(
            select(
                appeal.c.id.label("appeal_id"), appeal.c.number, record.c.kind, appeal.c.outcome
            ).select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
        ),
    ),
)
