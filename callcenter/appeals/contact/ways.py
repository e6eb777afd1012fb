"""Ways out: how the center gets in touch with people; each asks the rule of safe contact."""

from dataclasses import dataclass

from callcenter.appeals.contact.rules import ContactMeans
from callcenter.platform.core.errors import N_


@dataclass(frozen=True, slots=True)
class WayOut:
    """Extension point: a way in which the center gets in touch with people.

    Whatever begins a contact asks with its way each time (`contact.service.ask`). `name` is
    persisted in the audit log; `unwanted` and `untimely` are refusals, to be translated.
    """

    name: str
    channel: ContactMeans
    unwanted: str
    untimely: str = N_(
        "This person asked to be reached at other hours. A senior may decide otherwise, with a"
        " reason."
    )


RECEIPT_SMS = WayOut(
    "receipt_sms",
    ContactMeans.SMS,
    N_("This person asked not to get text messages: read the receipt out."),
)
#: Paper and file: whoever is at home may find them. Handed over only as letters may be sent.
RECEIPT_PRINT = WayOut(
    "receipt_print",
    ContactMeans.LETTER,
    N_("This person asked for nothing in writing: read the receipt out."),
    N_("This person asked to be written to at other hours: read the receipt out."),
)
#: To an applicant, by post or messenger; bodies are no persons.
LETTER = WayOut(
    "letter",
    ContactMeans.LETTER,
    N_("This person asked not to get letters. A senior may decide otherwise, with a reason."),
)

APPEAL_WAYS = (RECEIPT_SMS, RECEIPT_PRINT, LETTER)
