"""A supervisor who listens and whispers: who hears whom, by tones, and that nobody is disturbed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
from sqlalchemy import select

from callcenter.consultants import store as consultants
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.audio import Pcm, loudness
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.acd.actions import OrderAction
from callcenter.telephony.acd.command_bus import NoActiveCall
from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    CommandRefused,
)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.calls.disposable_stack import both_hear, connected
from tests.calls.people import add_person
from tests.calls.processes import ControllerProgram
from tests.calls.stall_meter import Stalls
from tests.orders import command_client
from tests.polling import require_within, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUPERVISOR = "aliya"  #: the name of 202
SUPERVISOR_TONE, OTHER_TONE = 1700.0, 2300.0
LOUD, QUIET = -30.0, -50.0  # dBFS
GAP = 0.1  # seconds


@dataclass
class Talk:
    """A conversation, and the telephone of a supervisor beside it."""

    call_center: CallCenter
    number: str
    caller: SipCall
    consultant: SipCall
    supervisor: Phone

    async def ask(
        self,
        mode: str,
        by: str = SUPERVISOR,
        extension: str = "202",
        whose: str = "201",
        **detail: str,
    ) -> Answer:
        async with unit_of_work(self.call_center.engine) as connection:
            own = str(await consultants.id_of(connection, extension))
        own_telephone = {"extension": extension, "id": own}
        order = CallCommand(SUPERVISE, f"user:{by}", {"mode": mode, **own_telephone, **detail})
        return await command_client(self.call_center.redis).send_to_consultant(whose, order)

    async def begin(self, mode: str, **detail: str) -> SipCall:
        """The supervisor's leg, answered, sending a tone, in this mode."""

        async def is_taken() -> bool:
            try:
                return (await self.ask(mode, **detail))["state"] == "ringing"
            except CommandRefused:  # both hear each other a moment before commands are taken
                return False

        await until(is_taken, "the supervisor is rung")
        leg = await self.supervisor.next_call()
        await leg.answer()
        leg.send_tone(SUPERVISOR_TONE)
        await self.is_in(mode)
        return leg

    async def is_in(self, mode: str) -> None:
        """Wait until the appeal says that the supervisor is in this mode, and nobody was before."""

        async def noted() -> bool:
            appeal = await self.call_center.live_appeal(self.number)
            assert appeal is not None
            modes = [
                event.detail["mode"]
                for event in await self.call_center.events(appeal)
                if event.kind == CallEvent.SUPERVISED
            ]
            return modes[-1:] == [mode]

        await until(noted, f"the supervisor is in mode {mode}")

    async def ended(self) -> None:
        async def noted() -> bool:
            appeal = await self.call_center.live_appeal(self.number)
            assert appeal is not None
            return CallEvent.SUPERVISION_ENDED in await self.call_center.moments(appeal)

        await until(noted, "the supervision has ended")


@asynccontextmanager
async def talk(call_center: CallCenter, number: str) -> AsyncIterator[Talk]:
    """201 talks with a caller in Kazakh; 202, who speaks no Kazakh, is the supervisor."""
    await add_person(call_center, "202", Role.HEAD, SUPERVISOR)
    async with (
        call_center.consultant("202") as supervisor,
        call_center.consultant("201") as consultant,
        call_center.caller(number) as caller,
    ):
        leg = await connected(call_center, caller, consultant)
        yield Talk(call_center, number, caller, leg, supervisor)


async def hears(
    call: SipCall, *tones: float, silent: tuple[float, ...] = (), limit: float = 10
) -> None:
    """Wait until a quarter of a second holds all of these tones, and none of the others."""

    async def heard() -> bool:
        sound = call.heard.pcm(time.monotonic() - 0.35)[:2000]
        return (
            len(sound) == 2000
            and all(loudness(sound, tone) > LOUD for tone in tones)
            and all(loudness(sound, tone) < QUIET for tone in silent)
        )

    await until(heard, f"{tones} are heard, {silent} not", limit)


def ever(sound: Pcm, tone: float) -> bool:
    """Whether a tone was ever loud for a tenth of a second."""
    return any(
        loudness(sound[at : at + 800], tone) > QUIET + 5 for at in range(0, len(sound) - 800, 400)
    )


@asynccontextmanager
async def undisturbed(talk: Talk) -> AsyncIterator[None]:
    """Within the block neither side of the conversation may miss a tenth of a second."""
    since = time.monotonic()
    async with Stalls() as stalls:
        yield
    for call, tone in ((talk.caller, CONSULTANT_TONE), (talk.consultant, CALLER_TONE)):
        require_within(call.heard.longest_gap(since), GAP + stalls.longest, "no packet")
        sound = call.heard.pcm(since)
        require_within(longest_without(sound, tone), GAP + stalls.longest, "no sound")


def longest_without(sound: Pcm, tone: float) -> float:
    """Seconds of the longest stretch of 20 ms pieces in which a tone is not loud."""
    longest = now = 0.0
    for at in range(0, len(sound) - 160, 160):
        now = 0.0 if loudness(sound[at : at + 160], tone) > LOUD else now + 0.02
        longest = max(longest, now)
    return longest


async def holder_of_201(call_center: CallCenter) -> tuple[str, str]:
    """The call of 201 and its controller, as Redis says."""
    call_id, controller = str(await call_center.redis.hget("desk:holders", "201")).split(" ")
    return call_id, controller


async def taken(call_center: CallCenter) -> list[tuple[str, str, str]]:
    """Who ordered to hear the call of 201, whose call and by which telephone: the audit log."""
    call_id, _ = await holder_of_201(call_center)
    entries = select(audit_entry.c.detail).where(
        audit_entry.c.action == OrderAction.TAKEN, audit_entry.c.subject == f"call:{call_id}"
    )
    async with unit_of_work(call_center.engine) as connection:
        return [
            (row.detail["by"], row.detail["consultant"], row.detail["extension"])
            for row in await connection.execute(entries)
        ]


async def test_who_writes_to_redis_hears_no_call(call_center: CallCenter) -> None:
    """Neither by an order without a proof, nor by leading a right one to another's call."""
    async with talk(call_center, "+77060000010") as both:
        call_id, controller = await holder_of_201(call_center)
        order = {
            "id": uuid4().hex,
            "call": call_id,
            "what": SUPERVISE,
            "by": "user:nobody",
            "detail": {"mode": "listen", "extension": "202", "id": str(uuid4())},
            "consultant": "201",
            "until": time.time() + 60,
        }
        await call_center.redis.rpush(f"orders:{controller}", json.dumps(order))
        answered = await call_center.redis.blpop([f"orders:answer:{order['id']}"], 10)
        assert answered is not None
        assert "no proof" in json.loads(answered[1])["refused"]
        await call_center.redis.hset("desk:holders", "203", f"{call_id} {controller}")
        with pytest.raises(CommandRefused, match="another consultant has the call"):
            await both.ask("listen", whose="203")
        await call_center.redis.hdel("desk:holders", "203")
        assert both.supervisor.calls == []


async def test_who_listens_hears_both_and_is_heard_by_nobody(call_center: CallCenter) -> None:
    async with talk(call_center, "+77060000001") as both:
        since = time.monotonic()
        async with undisturbed(both):
            leg = await both.begin("listen")
            await hears(leg, CALLER_TONE, CONSULTANT_TONE)
            assert await taken(call_center) == [(f"user:{SUPERVISOR}", "201", "202")]
            await leg.hang_up()
            await both.ended()
            await both_hear(both.caller, both.consultant)
        assert not ever(both.caller.heard.pcm(since), SUPERVISOR_TONE)
        assert not ever(both.consultant.heard.pcm(since), SUPERVISOR_TONE)
        await both.consultant.hang_up()
        await both.caller.ended()
    appeal = await call_center.appeal("+77060000001")
    assert appeal.outcome == Outcome.TALKED
    said = [e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.SUPERVISED]
    assert said == [{"mode": "listen", "by": "user:aliya", "supervisor": "202"}]


async def test_a_whisper_reaches_the_consultant_alone_and_no_recording(
    call_center: CallCenter,
) -> None:
    async with talk(call_center, "+77060000002") as both:
        since = time.monotonic()
        async with undisturbed(both):
            leg = await both.begin("whisper")
            await hears(both.consultant, CALLER_TONE, SUPERVISOR_TONE)
            await hears(leg, CALLER_TONE, CONSULTANT_TONE)
            await leg.hang_up()
            await both.ended()
        assert not ever(both.caller.heard.pcm(since), SUPERVISOR_TONE)
        await both.consultant.hang_up()
        await both.caller.ended()
    (recording,) = await call_center.recordings(await call_center.appeal("+77060000002"))
    left, right = call_center.recorded(recording)
    assert ever(left, CALLER_TONE)
    assert ever(right, CONSULTANT_TONE)
    assert not ever(left, SUPERVISOR_TONE)
    assert not ever(right, SUPERVISOR_TONE)


async def test_modes_change_without_hanging_up(call_center: CallCenter) -> None:
    async with talk(call_center, "+77060000003") as both, undisturbed(both):
        leg = await both.begin("listen")
        for mode in ("whisper", "listen", "whisper"):
            assert await both.ask(mode) == {"mode": mode, "state": "changed"}
            await both.is_in(mode)
            await hears(leg, CALLER_TONE, CONSULTANT_TONE)
            silent = () if mode == "whisper" else (SUPERVISOR_TONE,)
            heard = (SUPERVISOR_TONE,) if mode == "whisper" else ()
            await hears(both.consultant, CALLER_TONE, *heard, silent=silent)
            await hears(both.caller, CONSULTANT_TONE, silent=(SUPERVISOR_TONE,))
        await both.ask("leave")
        await leg.ended()
        await both_hear(both.caller, both.consultant)


async def test_who_joins_speaks_with_both_and_is_recorded(call_center: CallCenter) -> None:
    async with talk(call_center, "+77060000009") as both:
        async with undisturbed(both):
            leg = await both.begin("listen")
            await both.ask("join")
            await both.is_in("join")
            await hears(both.caller, CONSULTANT_TONE, SUPERVISOR_TONE)
            await hears(both.consultant, CALLER_TONE, SUPERVISOR_TONE)
            await hears(leg, CALLER_TONE, CONSULTANT_TONE)
            await both.ask("listen")
            await both.is_in("listen")
            await hears(both.caller, CONSULTANT_TONE, silent=(SUPERVISOR_TONE,))
            await hears(leg, CALLER_TONE, CONSULTANT_TONE)
            await leg.hang_up()
            await both.ended()
        await both.consultant.hang_up()
        await both.caller.ended()
    (recording,) = await call_center.recordings(await call_center.appeal("+77060000009"))
    left, right = call_center.recorded(recording)
    assert ever(right, SUPERVISOR_TONE)
    assert not ever(left, SUPERVISOR_TONE)


@pytest.mark.parametrize("before", ["listen", "join"])
async def test_a_takeover_has_the_caller_and_its_own_recording(
    call_center: CallCenter, before: str
) -> None:
    number = f"+770600000{20 + len(before)}"
    async with talk(call_center, number) as both:
        leg = await both.begin(before)
        await both.ask("take_over")
        await both.consultant.ended()
        await hears(both.caller, SUPERVISOR_TONE, silent=(CONSULTANT_TONE,))
        await hears(leg, CALLER_TONE, silent=(CONSULTANT_TONE,))
        presence = PresenceService(call_center.redis, call_center.settings)
        await until(lambda: is_in_state(presence, "202", PresenceState.TALKING), "202 talks")
        await until(lambda: is_in_state(presence, "201", PresenceState.READY), "201 is free again")
        await asyncio.sleep(1)  # of the second recording there is something to look at
        await leg.hang_up()
        await both.caller.ended()
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "202")
    first, second = await call_center.recordings(appeal)
    assert ever(call_center.recorded(first)[1], CONSULTANT_TONE)
    left, right = call_center.recorded(second)
    assert ever(left, CALLER_TONE)
    assert ever(right, SUPERVISOR_TONE)
    assert not ever(right[4000:], CONSULTANT_TONE)


async def is_in_state(presence: PresenceService, extension: str, state: PresenceState) -> bool:
    return (await presence.of(extension)).state is state


async def test_listening_continues_when_another_consultant_takes_the_call(
    call_center: CallCenter,
) -> None:
    async with talk(call_center, "+77060000030") as both, call_center.consultant("203") as other:
        leg = await both.begin("listen")
        await both.consultant.press("*3203#")
        second = await other.next_call()
        await second.answer()
        second.send_tone(OTHER_TONE)
        await both.consultant.ended()
        await hears(leg, CALLER_TONE, OTHER_TONE, silent=(CONSULTANT_TONE,))
        await hears(both.caller, OTHER_TONE, silent=(SUPERVISOR_TONE,))
        await second.hang_up()
        await leg.ended()


async def test_a_team_listener_is_dropped_after_a_transfer_elsewhere(
    call_center: CallCenter,
) -> None:
    async with talk(call_center, "+77060000031") as both, call_center.consultant("203") as other:
        leg = await both.begin("listen", hears="201 202")
        await both.consultant.press("*3203#")
        second = await other.next_call()
        await second.answer()
        second.send_tone(OTHER_TONE)
        await both.consultant.ended()
        await leg.ended()
        await both.ended()
        await hears(both.caller, OTHER_TONE)
        await second.hang_up()


async def test_one_supervisor_at_a_time_and_none_without_a_conversation(
    call_center: CallCenter,
) -> None:
    other = await add_person(call_center, "204", Role.HEAD)
    async with talk(call_center, "+77060000004") as both:
        with pytest.raises(CommandRefused):
            await both.ask("leave")
        await both.begin("listen")
        for mode in ("listen", "whisper", "leave"):
            with pytest.raises(CommandRefused, match="another supervisor"):
                await both.ask(mode, by=other, extension="204")
        await both.is_in("listen")
    await call_center.appeal("+77060000004")
    with pytest.raises(NoActiveCall):
        await both.ask("listen")


async def test_mashed_keys_and_a_common_hangup_leave_nothing(
    call_center: CallCenter,
) -> None:
    number = "+77060000015"
    async with talk(call_center, number) as both:
        leg = await both.begin("whisper")
        await asyncio.gather(
            *(call.press("0123456789*#", how="info", gap=0) for call in (both.caller, leg)),
            both.consultant.press("1234567890", how="info", gap=0),
            both.ask("listen"),
        )
        await both.is_in("listen")
        await both_hear(both.caller, both.consultant)
        await asyncio.gather(*(c.hang_up() for c in (both.caller, both.consultant, leg)))
    assert (await call_center.appeal(number)).outcome == Outcome.TALKED


@pytest.mark.parametrize("who", ["caller", "consultant"])
async def test_a_conversation_that_ends_lets_the_supervisor_go(
    call_center: CallCenter, who: str
) -> None:
    number = f"+770600001{len(who):02}"
    async with talk(call_center, number) as both:
        leg = await both.begin("whisper")
        await (both.caller if who == "caller" else both.consultant).hang_up()
        await leg.ended()
    assert (await call_center.appeal(number)).outcome == Outcome.TALKED


async def test_a_supervisor_who_does_not_answer_changes_nothing(call_center: CallCenter) -> None:
    async with talk(call_center, "+77060000006") as both, undisturbed(both):
        await both.ask("listen")
        ringing = await both.supervisor.next_call()
        await both.ended()
        await ringing.ended()
        await both_hear(both.caller, both.consultant)


async def test_a_supervisor_whose_telephone_dies_is_not_missed(call_center: CallCenter) -> None:
    async with talk(call_center, "+77060000007") as both:
        leg = await both.begin("listen")
        leg.drop()
        await both_hear(both.caller, both.consultant)
        await both.ask("leave")
        await both.ended()


async def test_a_killed_controller_leaves_no_ear_and_no_supervisor(
    disposable: CallCenter, line: ControllerProgram
) -> None:
    async with talk(disposable, "+77060000008") as both:
        leg = await both.begin("whisper")
        await line.kill()
        await both_hear(both.caller, both.consultant)
        await line.start()
        await leg.ended()
        await both_hear(both.caller, both.consultant)
        await both.consultant.hang_up()
        await both.caller.ended()
        assert (await disposable.appeal("+77060000008")).outcome == Outcome.TALKED
