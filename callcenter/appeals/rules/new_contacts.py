"""Contacts without a call, which open an appeal or join one (R7)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from callcenter.appeals.rules.channels import ContactChannel
from callcenter.platform.core.caller_id import CallerId, parse_caller_id
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES

#: Of the arrival of an appeal: the search counts days from 2000.
EARLIEST = datetime(2000, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewContact:
    """A contact without a call; the `phone` is as it was written, or empty.

    The `number` of its appeal was taken before, from the same counter; empty: it is taken now.
    """

    channel: ContactChannel
    language: str
    received_at: datetime
    phone: str = ""
    number: str = ""

    @property
    def caller(self) -> CallerId:
        """The telephone number as the register has it."""
        return parse_caller_id(self.phone)


def check_contact(contact: NewContact, latest: datetime) -> None:
    """Refuse a contact in another language, of another time, or with a wrong telephone.

    It came between 2000 and `latest`. Raises InvalidRequest.
    """
    if contact.language not in CALLER_LANGUAGES:
        raise InvalidRequest(N_("the applicant's language is kk or ru"))
    if contact.received_at.tzinfo is None or not EARLIEST <= contact.received_at <= latest:
        raise InvalidRequest(N_("an appeal came before now: correct the day and time"))
    if contact.caller.kind == "unreadable":
        raise InvalidRequest(N_("this is no telephone number: correct it, or leave it out"))
