"""Safe contact on the page of a record: what counts, what was said, a form to add to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from callcenter.appeals.contact import store
from callcenter.appeals.contact.rules import (
    AppealNumbers,
    ContactMeans,
    ContactVerdict,
    ContactWish,
    judge,
)
from callcenter.appeals.extensions import AppealReading
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_

MEANS: Mapping[str, str] = {
    ContactMeans.CALL: N_("By telephone"),
    ContactMeans.SMS: N_("By text message"),
    ContactMeans.EMAIL: N_("By e-mail"),
    ContactMeans.LETTER: N_("By letter"),
}


@dataclass(frozen=True, slots=True)
class ContactSection:
    """The wishes about an appeal, the newest first, and what they mean now by channel.

    `numbers` are the numbers on the appeal; `shown` says how they are seen.
    """

    wishes: Sequence[ContactWish]
    verdicts: Mapping[ContactMeans, ContactVerdict]
    numbers: AppealNumbers
    means: Mapping[str, str]

    def shown(self, number: str) -> str:
        """A number as readers see it: those in the record whole."""
        return number if number in self.numbers.phones.values() else mask(number)


async def read_section(reading: AppealReading) -> ContactSection:
    """Read the wishes about an appeal, and what they mean for reaching whoever got in touch."""
    connection, appeal_id = reading.connection, reading.appeal_id
    wishes = await store.list_of_appeal(connection, appeal_id)
    numbers = await store.find_numbers(connection, appeal_id)
    about = store.of_person(wishes, "applicant")
    if numbers.caller is not None:
        about_caller = await store.list_of_number(connection, numbers.caller)
    else:
        about_caller = about
    by_number = (ContactMeans.CALL, ContactMeans.SMS)
    now = datetime.now(UTC)
    verdicts = {
        each: judge(about_caller if each in by_number else about, each, now)
        for each in ContactMeans
    }
    return ContactSection(list(reversed(wishes)), verdicts, numbers, MEANS)
