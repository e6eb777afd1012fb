"""A written message as a driver hands it over, and what is refused of it."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from callcenter.appeals.rules.channels import ContactChannel
from callcenter.appeals.rules.new_contacts import NewContact, check_contact
from callcenter.platform.core.errors import N_, InvalidRequest

TEXT_LIMIT = 50_000  # characters of a message: 25 pages
SENDER_LIMIT = 500  # characters
ID_LIMIT = 200  # characters of an id that a source has given
CLOCK_SKEW = timedelta(minutes=5)  # by which the clock of a source may be ahead of ours

TOO_LONG = N_("this message is too long: send it in parts, or as a file")
NO_ID = N_("a message has an id of its own, of 200 characters at most")

_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenMessage:
    """One message in writing; `text`, `sender` and `phone` are personal data.

    The `source` is the driver, and the program behind it; `message_id` and `thread` are its own ids
    of the message and of the conversation that it is part of. A person has seen to it that the
    message belongs to the appeal that it `joins`; the appeal that it `names` is what the writer
    says, and nobody has checked it. The writer knows the `number` already: it was taken for the
    appeal that the message opens.
    """

    source: str
    message_id: str
    channel: ContactChannel
    language: str
    received_at: datetime  #: when it reached the center: the terms of the law count from it
    text: str
    sender: str = ""  #: the writer, as written: a name, an address, or nothing
    phone: str = ""
    thread: str = ""
    joins: str = ""
    names: str = ""
    number: str = ""
    is_urgent: bool = False

    @property
    def contact(self) -> NewContact:
        """The contact without what is written."""
        return NewContact(self.channel, self.language, self.received_at, self.phone, self.number)

    @property
    def digest(self) -> str:
        """A hash of what it says: the same message sent again has the same, an edited one not."""
        said = (self.language, self.text, self.sender, self.phone, self.names, self.is_urgent)
        content = json.dumps([self.channel.value, *said], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()


def normalize(message: WrittenMessage, now: datetime) -> WrittenMessage:
    """The message without what does harm where it is shown, its telephone in E.164.

    Nothing that can be read is taken from it: what is too long is refused whole. Raises
    InvalidRequest.
    """
    if not 0 < len(message.message_id) <= ID_LIMIT or len(message.thread) > ID_LIMIT:
        raise InvalidRequest(NO_ID)
    check_contact(message.contact, now + CLOCK_SKEW)
    text, sender = clean(message.text), " ".join(clean(message.sender).split())
    if len(text) > TEXT_LIMIT or len(sender) > SENDER_LIMIT:
        raise InvalidRequest(TOO_LONG)
    return replace(
        message,
        text=text,
        sender=sender,
        phone=message.contact.caller.number or "",
        names=clean(message.names).strip(),
        received_at=min(message.received_at, now),
    )


def clean(text: str) -> str:
    """The text without characters that are invisible or turn others round.

    Line ends become plain; half a surrogate pair, which no encoding has, becomes U+FFFD.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", whole)).strip()
