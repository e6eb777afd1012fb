"""Start a consultant's outbound call, despite a wish if a senior says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store
from callcenter.appeals.contact import sections
from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.rules import CALLER, ContactVerdict
from callcenter.appeals.contact.store import find_numbers
from callcenter.appeals.extensions import AppealReading
from callcenter.appeals.rules.number import parse
from callcenter.consultants.service import find_own_extension
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.command_bus import CommandClient
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand
from callcenter.telephony.outbound.ways import OUTBOUND

CALL = "call"  #: the command that starts a call


@dataclass(frozen=True, slots=True)
class RingBack:
    """Whether the caller of an appeal may be called back: the part of its page."""

    verdict: ContactVerdict  #: whether the caller may be called now


@dataclass(frozen=True, slots=True)
class CallSomebody:
    """People on an appeal with a telephone: their numbers, and whether they may be called.

    By their key in the record; CALLER is whoever got in touch, whose number is masked, and so are
    others, such as those of letters: their keys are the masked numbers.
    """

    phones: Mapping[str, tuple[str, ContactVerdict]]


async def read_numbers(reading: AppealReading) -> CallSomebody:
    """Read who of an appeal has a number to be called at."""
    numbers = await reading.once(sections.read_numbers)
    verdicts = await reading.once(sections.read_call_verdicts)
    masked = [(CALLER, numbers.caller), *((mask(each), each) for each in numbers.others)]
    shown = [(person, mask(phone), phone) for person, phone in masked if phone is not None]
    shown += [(person, phone, phone) for person, phone in sorted(numbers.phones.items())]
    return CallSomebody({person: (seen, verdicts[phone]) for person, seen, phone in shown})


async def read_ring_back(connection: AsyncConnection, row: store.AppealRow) -> RingBack | None:
    """Read whether an ended call may be rung back; None if it goes on or has no number."""
    if row.caller_number is None or row.outcome is None:
        return None
    return RingBack(await contact.read_verdict(connection, OUTBOUND, number=row.caller_number))


async def start_call(
    engine: AsyncEngine,
    commands: CommandClient,
    actor: Actor,
    *,
    number: str | None,
    appeal: str | None,
    person: str = "",
    despite_wish: bool = False,
    reason: str = "",
    others: Sequence[str] = (),
    is_urgent: bool = False,
) -> Answer:
    """Ring the consultant's own softphone, then the number, or the caller of the appeal.

    A `person` of the appeal's record is called at the number that the record has, CALLER at the one
    that called, another number of the appeal by its masked form. The call is that appeal's, by its
    id in the order. `despite_wish` with a `reason`: also one who asked not to be called, see
    `contact.override`. While nobody is reached the `others` are called, one after another; what
    `is_urgent`, to bodies only, has no hourly limit and asks for no wish. Returns at once with the
    id of the call and the number of its appeal. Raises NotFound without such an appeal,
    InvalidRequest when the call is refused, DistributorUnavailable and OperationFailed when a part
    is unavailable.
    """
    if number is None and appeal is None:
        raise InvalidRequest("say which number to call, or whose appeal it is about")
    extension = await find_own_extension(engine, actor)
    given = {"extension": extension}
    if appeal is not None:
        async with unit_of_work(engine) as connection:
            row = await store.find(connection, parse(appeal))
            if row is None:
                raise NotFound("there is no appeal with this number")
            if person and person != CALLER:
                number = (await find_numbers(connection, row.id)).find(person)
                if number is None:
                    raise InvalidRequest("nobody of the record has this telephone")
        # The number is for controllers of the version before, which know no id.
        given |= {"appeal_id": str(row.id), "appeal": row.number}
    if number is not None:
        given["number"] = number
    if others:
        given["others"] = " ".join(others)
    if is_urgent:
        given["urgent"] = "yes"
    if despite_wish:
        subject = f"appeal:{appeal}" if appeal else f"number:{mask(number or '')}"
        async with unit_of_work(engine) as connection:
            await contact.override(connection, actor, OUTBOUND, subject, reason)
        given["despite_wish"] = "yes"
    return await commands.send_to_any_controller(CallCommand(CALL, actor.who, given, extension))
