"""Safe contact: ways out ask here before they reach anybody, and wishes are recorded here.

A way asks in the transaction that begins the contact, so that a word said a second ago counts.
Without a database nobody is reached but services, which have short numbers.
"""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.contact import store
from callcenter.appeals.contact.rules import (
    FIELD,
    SOMEBODY,
    AppealNumbers,
    ContactMeans,
    ContactVerdict,
    ContactWish,
    check_wish,
    is_private,
    judge,
    lifts,
    wishes_of_field,
)
from callcenter.appeals.contact.ways import WayOut
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.fields import Content, WrongContent
from callcenter.appeals.rules.number import parse
from callcenter.platform.audit.rules.hash_chain import Detail
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

REASON_LIMIT = 500  # characters
NO_REASON = N_("say why this person is reached despite the wish: it cannot harm them")
NO_GROUND = N_("say how you know that this person may be reached again")
NOT_HERE = N_(
    'this person asked not to be contacted this way: first record the new wish under "Safe contact"'
)
NO_CALLER = N_("the caller of this appeal gave no number")


class ContactRefused(InvalidRequest):
    """This person asked not to be reached so. A senior may decide otherwise, with a reason."""

    def __init__(self, way: WayOut, verdict: ContactVerdict) -> None:
        super().__init__(way.unwanted if verdict.not_before is None else way.untimely)
        self.verdict = verdict


async def read_verdict(
    connection: AsyncConnection,
    way: WayOut,
    *,
    number: str | None = None,
    appeal_id: UUID | None = None,
    person: str = SOMEBODY,
    at: datetime | None = None,
) -> ContactVerdict:
    """Judge a contact now: by a number, in E.164 or short, or else with a person of an appeal.

    Services, which have short numbers, may always be called.
    """
    wishes = (
        await list_of_number(connection, number)
        if number is not None
        else await store.list_of_person(connection, appeal_id, person)
        if appeal_id is not None
        else []
    )
    return judge(wishes, way.channel, at or datetime.now(UTC))


async def ask(
    connection: AsyncConnection,
    way: WayOut,
    *,
    number: str | None = None,
    appeal_id: UUID | None = None,
    person: str = SOMEBODY,
) -> None:
    """Ask whether a contact may be made now, as `read_verdict`. Raises ContactRefused."""
    verdict = await read_verdict(connection, way, number=number, appeal_id=appeal_id, person=person)
    if not verdict.allowed:
        raise ContactRefused(way, verdict)


async def override(
    connection: AsyncConnection, actor: Actor, way: WayOut, subject: str, reason: str
) -> None:
    """Record that a senior decides to reach somebody despite a wish; audited with the reason.

    Raises Forbidden, and InvalidRequest without a reason.
    """
    actor.require(AppealPermission.OVERRIDE_WISH)
    detail = {"way": way.name, "reason": _require_reason(reason, NO_REASON)}
    await audit_action(connection, actor, AppealAction.WISH_OVERRIDDEN, subject, detail)


async def find_appeal(connection: AsyncConnection, number: str) -> AppealRow:
    """Find the appeal with this number. Raises NotFound."""
    row = await appeals.find(connection, number)
    if row is None:
        raise NotFound("there is no appeal with this number")
    return row


async def record_wish(
    engine: AsyncEngine, actor: Actor, number: str, wish: ContactWish, reason: str = ""
) -> None:
    """Record what a person of an appeal said.

    A wish that takes a restriction back needs a reason: how it is known. Raises NotFound,
    InvalidRequest.
    """
    async with unit_of_work(engine) as connection:
        row = await find_appeal(connection, parse(number))
        numbers = await store.find_numbers(connection, row.id)
        wish = check_wish(replace(wish, author=actor.who), numbers)
        is_lifting = lifts(wish, await _list_of_wish(connection, row.id, numbers, wish))
        await store.add(connection, row.id, [wish])
        detail: Detail = {"person": wish.person, "channel": wish.channel, "allowed": wish.allowed}
        if wish.number is not None:
            detail = {**detail, "number": mask(wish.number)}
        if wish.hours is not None:
            hours = f"{wish.hours.start:%H:%M}-{wish.hours.end:%H:%M}"
            detail = {**detail, "hours": hours}
        if is_lifting:
            detail = {**detail, "reason": _require_reason(reason, NO_GROUND)}
        await audit_action(
            connection, actor, AppealAction.CONTACT_WISH, f"appeal:{row.number}", detail
        )


async def set_calls_unwanted(
    engine: AsyncEngine, actor: Actor, number: str, *, unwanted: bool, reason: str = ""
) -> None:
    """Record that whoever called wants no calls to that number, or may be called again.

    The latter needs a reason: how it is known. Raises NotFound when there is no such appeal,
    InvalidRequest without a reason or when its caller gave no number.
    """
    async with unit_of_work(engine) as connection:
        row = await find_appeal(connection, parse(number))
        if row.caller_number is None:
            raise InvalidRequest(NO_CALLER)
        said = ContactWish(
            SOMEBODY,
            row.caller_number,
            ContactMeans.CALL,
            not unwanted,
            datetime.now(UTC),
            author=actor.who,
        )
        await store.add(connection, row.id, [said])
        detail: Detail = {"unwanted": unwanted}
        if not unwanted:
            detail = {**detail, "reason": _require_reason(reason, NO_GROUND)}
        await audit_action(
            connection, actor, AppealAction.CALLS_UNWANTED, f"appeal:{row.number}", detail
        )


async def record_fields(
    connection: AsyncConnection, appeal_id: UUID, before: Content, after: Content, author: str
) -> None:
    """Record the safe ways that were changed in the record of an appeal, by person.

    A field has no place for a reason: raises WrongContent where it would take a restriction back,
    which is lifted by a wish first.
    """
    now, faults = datetime.now(UTC), {}
    numbers = await store.find_numbers(connection, appeal_id)
    for key in sorted({*before, *after}):
        person, dot, name = key.partition(".")
        if dot and name == FIELD and before.get(key) != after.get(key):
            said = wishes_of_field(person, after.get(key), now, author)
            earlier = await _list_of_wish(connection, appeal_id, numbers, said[0])
            if any(lifts(wish, earlier) for wish in said):
                faults[key] = NOT_HERE
            await store.add(connection, appeal_id, said)
    if faults:
        raise WrongContent(faults)


async def record_callback(
    connection: AsyncConnection, appeal_id: UUID, number: str, at: datetime
) -> None:
    """Record that a caller asked by key to be called at a number that is safe."""
    said = ContactWish(SOMEBODY, number, ContactMeans.CALL, True, at, author="caller")
    await store.add(connection, appeal_id, [said])


async def are_calls_unwanted(connection: AsyncConnection, number: str) -> bool:
    """Whether a number may not be called now."""
    wishes = await list_of_number(connection, number)
    return not judge(wishes, ContactMeans.CALL, datetime.now(UTC)).allowed


async def list_of_number(connection: AsyncConnection, number: str) -> list[ContactWish]:
    """The wishes that concern a number, in E.164 or short; a service has none."""
    return await store.list_of_number(connection, number) if is_private(number) else []


async def _list_of_wish(
    connection: AsyncConnection, appeal_id: UUID, numbers: AppealNumbers, wish: ContactWish
) -> list[ContactWish]:
    """The words about the person or number that a wish is about, each once."""
    about = numbers.every if wish.number is None else [wish.number]
    said = [] if wish.number else await store.list_of_appeal(connection, appeal_id)
    for each in about:
        said += await list_of_number(connection, each)
    return list({each.id: each for each in said}.values())


def _require_reason(reason: str, refusal: str) -> str:
    if not reason.strip() or len(reason) > REASON_LIMIT:
        raise InvalidRequest(refusal)
    return reason.strip()
