"""Parties of a conversation: consultants and external parties, and how they are called."""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.ports import ConsultantPort, Leg, NotAnswered
from callcenter.telephony.calls.urgency import display_text

OFFER_TIMEOUT = 1.0  # seconds within which the consultant must be free


@dataclass(frozen=True, eq=False)
class ConsultantParty:
    """A consultant in a conversation. Closing `stack` hangs up and ends the lease."""

    person: ConsultantPort
    leg: Leg
    stack: AsyncExitStack

    @property
    def name(self) -> str:
        return self.person.extension


@dataclass(frozen=True, eq=False)
class ExternalParty:
    """A party outside the center. Closing `stack` hangs up."""

    name: str  #: the number
    leg: Leg
    stack: AsyncExitStack


ThirdParty = ConsultantParty | ExternalParty


async def ring_consultant(call: Call, target: TransferTarget, place_id: str) -> ConsultantParty:
    """Lease a consultant and ring; returns the answered party.

    Raises NotAnswered: `not_free` at once, or why the telephone was not answered. Cancelling
    releases everything.
    """
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(
            call.distributor.place(
                place_id,
                call.consultant_language,
                arrived=time.time(),
                urgent=True,
                target=target,
            )
        )
        consultant = await place.wait_for_offer(OFFER_TIMEOUT)
        if consultant is None:
            raise NotAnswered("not_free")
        place.mark_ringing()
        ring = call.switch.ring(
            consultant.extension, call.leg, display_text(call), call.times.ring_timeout
        )
        try:
            leg = await stack.enter_async_context(ring)
        except NotAnswered:
            await place.release(unanswered=True)
            raise
        place.mark_answered()
        return ConsultantParty(consultant, leg, stack.pop_all())


async def ring_again(call: Call, consultant: ConsultantParty) -> ConsultantParty:
    """Ring a consultant whose telephone lost its leg; the lease is retained.

    Raises NotAnswered, and then, as when cancelled, the lease has ended.
    """
    try:
        await consultant.leg.hang_up()
        ring = call.switch.ring(
            consultant.name, call.leg, display_text(call), call.times.ring_timeout
        )
        leg = await consultant.stack.enter_async_context(ring)
    except BaseException:
        await consultant.stack.aclose()
        raise
    return ConsultantParty(consultant.person, leg, consultant.stack)


async def dial_external(call: Call, number: str) -> ExternalParty:
    """Dial an external party; returns it once answered. Raises NotAnswered."""
    async with AsyncExitStack() as stack:
        leg = await stack.enter_async_context(
            call.switch.call_number(
                number, call.times.shown_number, call.times.ring_timeout, beside=call.leg
            )
        )
        return ExternalParty(number, leg, stack.pop_all())
