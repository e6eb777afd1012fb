"""The rule of safe contact: whether, and when, a person may be reached in a way.

A wish is what somebody said about being reached: yes or no, about a number or all of them, a
channel or all of them, perhaps at some hours only. Of one person the latest word about a contact
counts. A word of nobody in particular is that of whoever is at the number, and replaces the words
of everybody. A restriction of one number is lifted by a word about that number alone: "you may
write to me" opens no number that was closed. Where several people have spoken, all must allow it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from enum import StrEnum

from callcenter.appeals.rules.fields import Value
from callcenter.platform.core.caller_id import mask, parse_caller_id
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.timezone import ZONE

SOMEBODY = ""  #: person of a wish: whoever got in touch
CALLER = "caller"  #: instead of the number that called, in what is typed
EVERY = ""  #: channel of a wish: every one
#: The field of a person in the record by which they say it; `NO_WAY` is "do not get in touch".
FIELD = "safe_ways"
NO_WAY = "none"
LONGEST_WAIT = timedelta(days=2)  #: hours that never meet within it never meet

_SPEAKERS = ("applicant", "representative", "reporter")


class ContactMeans(StrEnum):
    """The means of a contact; codes are those of the options of the field `safe_ways`."""

    CALL = "call"
    SMS = "sms"
    EMAIL = "email"
    LETTER = "letter"


@dataclass(frozen=True, slots=True)
class ContactHours:
    """Hours of each day in Asia/Almaty, from the first until the second; may pass midnight."""

    start: time
    end: time

    def covers(self, at: datetime) -> bool:
        """Whether they are at this moment."""
        now = at.astimezone(ZONE).time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def next_start(self, at: datetime) -> datetime:
        """The first moment after `at` when they begin."""
        local = at.astimezone(ZONE)
        day = local.date() + timedelta(days=local.time() >= self.start)
        return datetime.combine(day, self.start, ZONE)


@dataclass(frozen=True, slots=True)
class ContactWish:
    """A person's word about being reached. `number` (E.164) is personal data: never log it.

    `person` is a key of the record (`applicant`, `affected1`) or SOMEBODY; no `number` means all
    numbers of the person, EVERY `channel` all channels. `hours` limit what is allowed.
    """

    person: str
    number: str | None
    channel: str
    allowed: bool
    at: datetime
    hours: ContactHours | None = None
    author: str = ""
    id: int = 0  #: order of wishes that were said together

    @property
    def restricts(self) -> bool:
        """Whether it forbids something."""
        return not self.allowed or self.hours is not None


@dataclass(frozen=True, slots=True)
class ContactVerdict:
    """Whether a contact may be made now; if not, perhaps from `not_before` on, and whose word."""

    allowed: bool
    not_before: datetime | None = None
    wish: ContactWish | None = None


@dataclass(frozen=True, slots=True)
class AppealNumbers:
    """Numbers on an appeal: the caller's, and the telephones of the people in its record.

    The `others` are everybody's, such as those of letters.
    """

    caller: str | None
    phones: Mapping[str, str] = field(default_factory=dict)
    people: Collection[str] = ()
    others: Collection[str] = ()

    @classmethod
    def of(
        cls, caller: str | None, content: Mapping[str, object], indexed: Collection[str] = ()
    ) -> "AppealNumbers":
        """The numbers on an appeal with this caller, this content and these terms of its index."""
        phones = {}
        for key, value in content.items():
            person, _, name = key.partition(".")
            if name == "phone" and (number := parse_caller_id(str(value)).number):
                phones[person] = number
        people = {person for person, dot, _ in (key.partition(".") for key in content) if dot}
        others = {term for term in indexed if is_private(term)} - {caller, *phones.values()}
        return cls(caller, phones, people, sorted(others))

    @property
    def every(self) -> list[str]:
        """All of them, each once."""
        numbers = dict.fromkeys([self.caller, *self.phones.values(), *self.others])
        return [number for number in numbers if number is not None]

    @property
    def not_of_accused(self) -> list[str]:
        """All but those that somebody who is complained of has too, each once."""
        accused = {phone for person, phone in self.phones.items() if person.startswith("accused")}
        every = dict.fromkeys([self.caller, *self.phones.values()])
        return [number for number in every if number is not None and number not in accused]

    def find(self, person: str) -> str | None:
        """The telephone of a person, or the only one of the others that is masked so."""
        found = [each for each in self.others if mask(each) == person]
        return self.phones.get(person, found[0] if len(found) == 1 else None)

    def concern(self, person: str, number: str) -> bool:
        """Whether a word of this person about all their numbers is about this number.

        The number that called belongs to whoever speaks for the appeal; if nobody is written down
        as that, to whoever is affected. A number that the appeal has elsewhere is everybody's.
        """
        if number != self.caller and number not in self.phones.values():
            return True
        if person == SOMEBODY:
            return number == self.caller or any(
                phone == number and not each.startswith("accused")
                for each, phone in self.phones.items()
            )
        speaks = person in _SPEAKERS or (
            person.startswith("affected") and not set(_SPEAKERS) & set(self.people)
        )
        return self.phones.get(person) == number or (speaks and number == self.caller)


def is_private(number: str) -> bool:
    """Whether a number may be a person's: services have short ones, and are never withheld."""
    return number.startswith("+")


def binding_words(wishes: Iterable[ContactWish], channel: str) -> list[ContactWish]:
    """The words that count for a contact by this channel, of those that concern it."""
    words: list[ContactWish] = []
    for wish in sorted(wishes, key=lambda each: (each.at, each.id)):
        if wish.channel in (EVERY, channel):
            words = [word for word in words if not _replaces(wish, word)] + [wish]
    return words


def judge(wishes: Iterable[ContactWish], channel: str, at: datetime) -> ContactVerdict:
    """Judge a contact by a channel at a moment; `wishes` that concern it, in any order.

    Who said nothing may be reached.
    """
    words = binding_words(wishes, channel)
    for word in words:
        if not word.allowed:
            return ContactVerdict(False, None, word)
    moment, last = at, None
    while (closed := _closed(words, moment)) is not None:
        word, hours = closed
        moment, last = hours.next_start(moment), word
        if moment - at > LONGEST_WAIT:
            return ContactVerdict(False, None, word)
    return ContactVerdict(last is None, None if last is None else moment, last)


def lifts(wish: ContactWish, wishes: Collection[ContactWish]) -> bool:
    """Whether a wish takes back a restriction of `wishes` that concern the same contact."""
    channels = ContactMeans if wish.channel == EVERY else [wish.channel]
    return wish.allowed and any(
        word.restricts and _replaces(wish, word)
        for channel in channels
        for word in binding_words(wishes, channel)
    )


def wishes_of_field(
    person: str, chosen: Value | None, at: datetime, author: str
) -> list[ContactWish]:
    """The words of a person who chose these safe ways in the record: only those, or no way.

    An emptied field takes the earlier words of the person back.
    """
    ways = [chosen] if isinstance(chosen, str) else chosen or []
    first = ContactWish(person, None, EVERY, not ways, at, author=author)
    allowed = [] if NO_WAY in ways else ways
    return [first, *(ContactWish(person, None, each, True, at, author=author) for each in allowed)]


def make_wish(
    person: str,
    number: str | None,
    channel: str,
    *,
    allowed: bool,
    at: datetime,
    hours: tuple[time | None, time | None] = (None, None),
) -> ContactWish:
    """Make a wish from what was typed.

    `hours` without a start begin at midnight, and end there without an end.
    """
    start, end = hours
    limits = ContactHours(start or time(), end or time()) if start or end else None
    return ContactWish(person, number, channel, allowed, at, limits)


def check_wish(wish: ContactWish, numbers: AppealNumbers) -> ContactWish:
    """Resolve the number of a wish: CALLER, a person with a telephone, or a number.

    Raises InvalidRequest for a wish that says nothing, or of nobody on the appeal.
    """
    if wish.person not in (SOMEBODY, *numbers.people):
        raise InvalidRequest(
            N_("choose the person: somebody in the record, or the person who contacted 111")
        )
    if wish.hours is not None and (not wish.allowed or wish.hours.start == wish.hours.end):
        raise InvalidRequest(N_("give hours at which the person may be reached, from and to"))
    if wish.number is None:
        return wish
    named = {CALLER: numbers.caller, **numbers.phones}
    number = parse_caller_id(named.get(wish.number, wish.number)).number
    if number is None or not is_private(number):
        raise InvalidRequest(N_("give a whole telephone number, as in +7 701 234 56 67"))
    return replace(wish, number=number)


def _replaces(later: ContactWish, earlier: ContactWish) -> bool:
    if later.person not in (SOMEBODY, earlier.person):
        return False
    opens_all = later.number is None and later.allowed
    return not (opens_all and earlier.number is not None and earlier.restricts)


def _closed(words: Iterable[ContactWish], at: datetime) -> tuple[ContactWish, ContactHours] | None:
    for word in words:
        if word.hours is not None and not word.hours.covers(at):
            return word, word.hours
    return None
