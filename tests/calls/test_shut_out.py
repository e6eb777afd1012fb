"""Who is shut out loses the telephone at once; no caller and no conversation is lost by it."""

import json
import time
from functools import partial

import pytest
from sqlalchemy import select

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import NotOnRoster
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.acd.actions import OrderAction
from callcenter.telephony.acd.alerts import SHUT_OUT_TALKS
from callcenter.telephony.acd.distributor import PLAIN_RULES
from callcenter.telephony.acd.rules.call_commands import CommandRefused
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.users import service
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.calls.disposable_stack import both_hear
from tests.calls.people import add_person
from tests.calls.stall_meter import Stalls
from tests.calls.talking import hears_tone
from tests.calls.test_supervision import SUPERVISOR, hears, holder_of_201, talk, undisturbed
from tests.polling import require_within, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BY = Actor(None, command="test")
NUMBER = "+77012600001"
GONE_WITHIN = 2.0  # seconds in which telephone and offers of who is shut out end


async def set_active(call_center: CallCenter, name: str, *, active: bool) -> None:
    async with unit_of_work(call_center.engine) as connection:
        await service.set_active(connection, BY, name, active=active)


async def is_refused(phone: Phone) -> bool:
    try:
        await phone.register()
    except Refused as refusal:
        return refusal.status == 401
    return False


async def may_register(phone: Phone) -> bool:
    return not await is_refused(phone)


async def is_off_roster(call_center: CallCenter, extension: str) -> bool:
    try:
        await PresenceService(call_center.redis, PLAIN_RULES).of(extension)
    except NotOnRoster:
        return True
    return False


async def loses_all(call_center: CallCenter, phone: Phone, extension: str) -> None:
    """Who is shut out has neither telephone nor place in the distributor, in time from now on."""
    began = time.monotonic()
    async with Stalls() as stalls:
        await until(lambda: is_refused(phone), "the telephone is refused")
        await until(lambda: is_off_roster(call_center, extension), "off the roster")
        took = time.monotonic() - began
    require_within(took, GONE_WITHIN + stalls.longest, "telephone and offers end")


async def test_who_is_shut_out_loses_telephone_and_offers_at_once(
    call_center: CallCenter,
) -> None:
    first, second = [await add_person(call_center, each) for each in ("201", "204")]
    async with call_center.consultant("201") as rings, call_center.consultant("204") as talks:
        async with call_center.caller(NUMBER) as caller:
            await caller.press("0")
            leg = await rings.next_call(20)
            await set_active(call_center, first, active=False)
            await loses_all(call_center, rings, "201")
            await leg.ended()
            taken = await talks.next_call(20)
            await taken.answer()
            await set_active(call_center, second, active=False)
            await loses_all(call_center, talks, "204")
            await until(lambda: is_alerted(call_center), "supervisors are alerted")
            taken.send_tone(CONSULTANT_TONE)
            await hears_tone(caller, CONSULTANT_TONE)  # what was begun is talked to its end
            await caller.hang_up()
            await taken.ended()
        appeal = await call_center.appeal(NUMBER)
        assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
        unanswered = [
            event.detail["why"]
            for event in await call_center.events(appeal)
            if event.kind == CallEvent.UNANSWERED
        ]
        assert unanswered == ["withdrawn"]
        for name, phone in ((first, rings), (second, talks)):
            await set_active(call_center, name, active=True)
            await until(partial(may_register, phone), "who is let in again registers")


async def is_alerted(call_center: CallCenter) -> bool:
    """Whether supervisors have an alert of somebody who talks though shut out."""
    alerts = await call_center.redis.lrange("desk:alarms", 0, -1)
    return SHUT_OUT_TALKS.key in [json.loads(each)["kind"] for each in alerts]


@pytest.mark.parametrize("change", ["disabled", "demoted"])
async def test_who_may_hear_no_more_is_let_go(call_center: CallCenter, change: str) -> None:
    number = f"+770126000{10 + len(change)}"
    async with talk(call_center, number) as both, undisturbed(both):
        leg = await both.begin("listen")
        await hears(leg, CALLER_TONE, CONSULTANT_TONE)
        call_id, _ = await holder_of_201(call_center)
        if change == "disabled":
            await set_active(call_center, SUPERVISOR, active=False)
            await until(lambda: is_refused(both.supervisor), "the telephone is refused")
        else:
            async with unit_of_work(call_center.engine) as connection:
                await users.set_role(connection, name=SUPERVISOR, role=Role.CONSULTANT)
        await leg.ended()
        with pytest.raises(CommandRefused, match="may not hear"):
            await both.ask("listen")
        await until(partial(is_audited, call_center, call_id), "the audit log has the end")
        await both_hear(both.caller, both.consultant)
        await set_active(call_center, SUPERVISOR, active=True)
        await until(partial(may_register, both.supervisor), "the telephone is there again")


async def is_audited(call_center: CallCenter, call_id: str) -> bool:
    """Whether the audit log says that the supervisor of this call was let go."""
    entries = select(audit_entry.c.detail).where(
        audit_entry.c.action == OrderAction.ENDED, audit_entry.c.subject == f"call:{call_id}"
    )
    async with unit_of_work(call_center.engine) as connection:
        found = (await connection.execute(entries)).scalars().all()
    gone = {"supervisor": f"user:{SUPERVISOR}", "consultant": "201", "extension": "202"}
    return found == [gone]
