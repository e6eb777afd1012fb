"""Rules of oral contacts: what a note of one has to say (R10, R11, R21)."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from callcenter.appeals.rules.letters import LetterParty
from callcenter.platform.core.errors import N_, InvalidRequest

LENGTH_LIMITS = {"whom": 300, "post": 300, "said": 2000}  # characters
EARLIEST = timedelta(days=366)  #: a contact longer ago is in a letter, or forgotten
NO_WORDS = N_("enter who you spoke to, by name, and what they said")
BAD_MOMENT = N_("say when it was: not in the future, and within a year")


@dataclass(frozen=True, slots=True)
class OralContact:
    """An oral contact; its texts are personal data, empty once erased.

    `whom` is a body or person by name, `post` what they are there.
    """

    party: LetterParty
    at: datetime
    whom: str = ""
    post: str = ""
    said: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """Its texts, by name."""
        return {name: text for name, text in asdict(self).items() if name in LENGTH_LIMITS}


def normalize(contact: OralContact, now: datetime) -> OralContact:
    """Validate an oral contact. Raises InvalidRequest."""
    texts = {name: text.strip() for name, text in contact.texts.items()}
    for name, text in texts.items():
        plain = text.replace("\r", "").replace("\n", "") if name == "said" else text
        if len(text) > LENGTH_LIMITS[name] or not (plain.isprintable() or not plain):
            raise InvalidRequest(NO_WORDS)
    if not texts["whom"] or not texts["said"]:
        raise InvalidRequest(NO_WORDS)
    if contact.at.tzinfo is None or not now - EARLIEST <= contact.at <= now + timedelta(minutes=1):
        raise InvalidRequest(BAD_MOMENT)
    return OralContact(contact.party, contact.at, **texts)
