"""Safe contact on the page of a record: what counts, what was said, a form to add to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.contact import service, store
from callcenter.appeals.contact.rules import (
    AppealNumbers,
    ContactMeans,
    ContactVerdict,
    ContactWish,
    judge,
)
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import AppealReading
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

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


async def read_numbers(reading: AppealReading) -> AppealNumbers:
    """Read the numbers on an appeal."""
    return await store.find_numbers(reading.connection, reading.appeal_id)


async def read_wishes(reading: AppealReading) -> Mapping[str, Sequence[ContactWish]]:
    """Read what was said about each number on an appeal, on other appeals too."""
    numbers = await reading.once(read_numbers)
    return {each: await service.list_of_number(reading.connection, each) for each in numbers.every}


async def read_call_verdicts(reading: AppealReading) -> Mapping[str, ContactVerdict]:
    """Judge a call now to each number on an appeal."""
    now, wishes = datetime.now(UTC), await reading.once(read_wishes)
    return {number: judge(said, ContactMeans.CALL, now) for number, said in wishes.items()}


async def read_section(reading: AppealReading) -> ContactSection:
    """Read the wishes about an appeal, and what they mean for reaching whoever got in touch."""
    wishes = await store.list_of_appeal(reading.connection, reading.appeal_id)
    numbers = await reading.once(read_numbers)
    about = store.of_person(wishes, "applicant")
    by_number = await reading.once(read_wishes)
    about_caller = about if numbers.caller is None else by_number[numbers.caller]
    to_number = (ContactMeans.CALL, ContactMeans.SMS)
    now = datetime.now(UTC)
    verdicts = {
        each: judge(about_caller if each in to_number else about, each, now)
        for each in ContactMeans
    }
    return ContactSection(list(reversed(wishes)), verdicts, numbers, MEANS)


async def view_wishes(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str
) -> ContactSection:
    """View the wishes about an appeal, with an entry in the audit log. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await service.find_appeal(connection, number)
        found = await read_section(AppealReading(connection, keys, actor, row.id))
        subject, detail = f"appeal:{row.number}", {"by": "contact"}
        await audit_action(connection, actor, AppealAction.APPEAL_VIEWED, subject, detail)
    return found
