"""The room of consultants' outbound calls: what it registers."""

from callcenter.appeals.calls.sections import CallSection
from callcenter.appeals.extensions import AppealSection
from callcenter.platform.core.errors import N_
from callcenter.platform.core.registry import Room
from callcenter.telephony.outbound.permissions import OutboundPermission
from callcenter.telephony.outbound.service import read_numbers, read_ring_back
from callcenter.telephony.outbound.ways import OUTBOUND, THIRD_PARTY

ROOM = Room(
    name="outbound",
    web="callcenter.telephony.outbound.web_module",
    offers=(
        *OutboundPermission,
        CallSection("outbound/ring_back.html", OutboundPermission.CALL_OUT, read_ring_back),
        AppealSection(
            N_("Call about this appeal"),
            "outbound/call_somebody.html",
            OutboundPermission.CALL_OUT,
            read_numbers,
            anchor="calls",
        ),
        OUTBOUND,
        THIRD_PARTY,
    ),
)
