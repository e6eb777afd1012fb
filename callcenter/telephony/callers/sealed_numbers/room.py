"""The room of sealed numbers: what it registers."""

from callcenter.appeals.calls.sections import CallSection
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.record.personal_data import MASKED, PersonalDataPart
from callcenter.platform.core.errors import N_
from callcenter.platform.core.personal_data import Erasure, Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.telephony.callers.sealed_numbers import store
from callcenter.telephony.callers.sealed_numbers.actions import SealedNumberAction
from callcenter.telephony.callers.sealed_numbers.permissions import SealedNumberPermission
from callcenter.telephony.callers.sealed_numbers.sections import read_section
from callcenter.telephony.callers.sealed_numbers.tables import (
    number_opening,
    sealed_number,
)

ROOM = Room(
    name="sealed_numbers",
    web="callcenter.telephony.callers.sealed_numbers.web_module",
    jobs=("callcenter.telephony.callers.sealed_numbers.jobs",),
    offers=(
        *SealedNumberPermission,
        *SealedNumberAction,
        CallSection("sealed_numbers/ask.html", SealedNumberPermission.TRACE_NUMBERS, read_section),
        RetentionReason(
            "number_trace",
            N_("They stay: the withheld number is to be opened."),
            lambda now: store.is_to_be_opened(appeal.c.id, now),
        ),
        PersonalDataPart(
            sealed_number,
            ("sealed",),
            key="sealed_numbers",
            label=N_("Withheld numbers, sealed: %(count)s"),
            of=sealed_number.c.appeal_id.in_,
            is_personal=sealed_number.c.appeal_id.is_not(None),
            ends=Erasure(
                f"setting trace_hours, a hold or a request to open it; or {MASKED}",
                "callcenter.telephony.callers.sealed_numbers.store:erase_expired",
            ),
        ),
        PersonalData(
            number_opening,
            ("reason", "decision"),
            Permanent("the proof of why a number was opened"),
        ),
        TableRights(
            sealed_number,
            controller="i",
            worker="sd",
            web="sd",
            columns={("worker", "s"): ("appeal_id", "until")},
        ),
        TableRights(number_opening, worker="s", web="siu"),
    ),
)
