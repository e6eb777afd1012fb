"""Ways in which calls of consultants reach people."""

from callcenter.appeals.contact.rules import ContactMeans
from callcenter.appeals.contact.ways import WayOut
from callcenter.platform.core.errors import N_

_UNWANTED = N_("This person asked not to be called. A senior may decide otherwise, with a reason.")

#: Dialled, asked for on a page, or after a voicemail.
OUTBOUND = WayOut("outbound", ContactMeans.CALL, _UNWANTED)
#: Called into a conversation.
THIRD_PARTY = WayOut("third_party", ContactMeans.CALL, _UNWANTED)
