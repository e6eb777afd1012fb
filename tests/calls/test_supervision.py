"""A supervisor who listens and whispers: who hears whom, by tones, and that nobody is disturbed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from callcenter.consultants import store as consultants
from callcenter.consultants.dispatch import Dispatch, NoCall
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import SUPERVISE, Answer, Order, OrderRefused
from callcenter.consultants.states import State
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.demo.sound import Pcm, loudness
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from tests.calls.fragile import both_hear, connected
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House, until
from tests.calls.parts import Line
from tests.calls.stalls import Stalls

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUPERVISOR_TONE, OTHER_TONE = 1700.0, 2300.0
LOUD, QUIET = -30.0, -50.0  # dBFS
GAP = 0.1  # seconds


@dataclass
class Talk:
    """A conversation, and the telephone of a supervisor beside it."""

    house: House
    number: str
    caller: Call
    consultant: Call
    supervisor: Phone

    async def _id(self) -> str:
        async with unit_of_work(self.house.engine) as connection:
            return str(await consultants.id_of(connection, "202"))

    async def ask(self, mode: str, by: str = "user:aliya", **detail: str) -> Answer:
        whose = {"extension": "202", "id": await self._id()}
        order = Order(SUPERVISE, by, {"mode": mode, **whose, **detail})
        return await Dispatch(self.house.redis).to_consultant("201", order)

    async def begin(self, mode: str, **detail: str) -> Call:
        """The supervisor's leg, answered, sending a tone, in this mode."""
        assert (await self.ask(mode, **detail))["state"] == "ringing"
        leg = await self.supervisor.next_call()
        await leg.answer()
        leg.send_tone(SUPERVISOR_TONE)
        await self.is_in(mode)
        return leg

    async def is_in(self, mode: str) -> None:
        """Wait until the appeal says that the supervisor is in this mode, and nobody was before."""

        async def noted() -> bool:
            appeal = await self.house.live_appeal(self.number)
            assert appeal is not None
            modes = [
                event.detail["mode"]
                for event in await self.house.events(appeal)
                if event.kind == Moment.SUPERVISED
            ]
            return modes[-1:] == [mode]

        await until(noted, f"the supervisor is in mode {mode}")

    async def ended(self) -> None:
        async def noted() -> bool:
            appeal = await self.house.live_appeal(self.number)
            assert appeal is not None
            return Moment.SUPERVISION_ENDED in await self.house.moments(appeal)

        await until(noted, "the supervision has ended")


@asynccontextmanager
async def talk(house: House, number: str) -> AsyncIterator[Talk]:
    """201 talks with a caller in Kazakh; 202, who speaks no Kazakh, is the supervisor."""
    async with (
        house.consultant("202") as supervisor,
        house.consultant("201") as consultant,
        house.caller(number) as caller,
    ):
        leg = await connected(house, caller, consultant)
        yield Talk(house, number, caller, leg, supervisor)


async def hears(
    call: Call, *tones: float, silent: tuple[float, ...] = (), limit: float = 10
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
        assert call.heard.longest_gap(since) < GAP + stalls.longest
        sound = call.heard.pcm(since)
        assert longest_without(sound, tone) < GAP + stalls.longest


def longest_without(sound: Pcm, tone: float) -> float:
    """Seconds of the longest stretch of 20 ms pieces in which a tone is not loud."""
    longest = now = 0.0
    for at in range(0, len(sound) - 160, 160):
        now = 0.0 if loudness(sound[at : at + 160], tone) > LOUD else now + 0.02
        longest = max(longest, now)
    return longest


async def test_who_listens_hears_both_and_is_heard_by_nobody(house: House) -> None:
    async with talk(house, "+77060000001") as both:
        since = time.monotonic()
        async with undisturbed(both):
            leg = await both.begin("listen")
            await hears(leg, CALLER_TONE, CONSULTANT_TONE)
            await leg.hang_up()
            await both.ended()
            await both_hear(both.caller, both.consultant)
        assert not ever(both.caller.heard.pcm(since), SUPERVISOR_TONE)
        assert not ever(both.consultant.heard.pcm(since), SUPERVISOR_TONE)
        await both.consultant.hang_up()
        await both.caller.ended()
    appeal = await house.appeal("+77060000001")
    assert appeal.outcome == Outcome.TALKED
    said = [e.detail for e in await house.events(appeal) if e.kind == Moment.SUPERVISED]
    assert said == [{"mode": "listen", "by": "user:aliya", "supervisor": "202"}]


async def test_a_whisper_reaches_the_consultant_alone_and_no_recording(house: House) -> None:
    async with talk(house, "+77060000002") as both:
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
    (recording,) = await house.recordings(await house.appeal("+77060000002"))
    left, right = house.recorded(recording)
    assert ever(left, CALLER_TONE)
    assert ever(right, CONSULTANT_TONE)
    assert not ever(left, SUPERVISOR_TONE)
    assert not ever(right, SUPERVISOR_TONE)


async def test_modes_change_without_hanging_up(house: House) -> None:
    async with talk(house, "+77060000003") as both, undisturbed(both):
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


async def test_who_joins_speaks_with_both_and_is_recorded(house: House) -> None:
    async with talk(house, "+77060000009") as both:
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
    (recording,) = await house.recordings(await house.appeal("+77060000009"))
    left, right = house.recorded(recording)
    assert ever(right, SUPERVISOR_TONE)
    assert not ever(left, SUPERVISOR_TONE)


@pytest.mark.parametrize("before", ["listen", "join"])
async def test_who_takes_over_goes_on_with_the_caller_and_has_a_recording_of_their_own(
    house: House, before: str
) -> None:
    number = f"+770600000{20 + len(before)}"
    async with talk(house, number) as both:
        leg = await both.begin(before)
        await both.ask("take_over")
        await both.consultant.ended()
        await hears(both.caller, SUPERVISOR_TONE, silent=(CONSULTANT_TONE,))
        await hears(leg, CALLER_TONE, silent=(CONSULTANT_TONE,))
        duty = DutyDesk(house.redis, house.settings)
        await until(lambda: is_in_state(duty, "202", State.TALKING), "202 talks")
        await until(lambda: is_in_state(duty, "201", State.READY), "201 is free again")
        await asyncio.sleep(1)  # of the second recording there is something to look at
        await leg.hang_up()
        await both.caller.ended()
    appeal = await house.appeal(number)
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "202")
    first, second = await house.recordings(appeal)
    assert ever(house.recorded(first)[1], CONSULTANT_TONE)
    left, right = house.recorded(second)
    assert ever(left, CALLER_TONE)
    assert ever(right, SUPERVISOR_TONE)
    assert not ever(right[4000:], CONSULTANT_TONE)


async def is_in_state(duty: DutyDesk, extension: str, state: State) -> bool:
    return (await duty.of(extension)).state is state


async def test_who_listens_goes_on_listening_when_another_consultant_has_the_call(
    house: House,
) -> None:
    async with talk(house, "+77060000030") as both, house.consultant("203") as other:
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


async def test_who_may_hear_one_team_is_let_go_when_a_consultant_of_another_has_the_call(
    house: House,
) -> None:
    async with talk(house, "+77060000031") as both, house.consultant("203") as other:
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


async def test_one_supervisor_at_a_time_and_none_without_a_conversation(house: House) -> None:
    async with talk(house, "+77060000004") as both:
        with pytest.raises(OrderRefused):
            await both.ask("leave")
        await both.begin("listen")
        for mode in ("listen", "whisper", "leave"):
            with pytest.raises(OrderRefused, match="another supervisor"):
                await both.ask(mode, by="user:somebody_else")
        await both.is_in("listen")
    await house.appeal("+77060000004")
    with pytest.raises(NoCall):
        await both.ask("listen")


async def test_keys_mashed_by_everybody_and_a_hang_up_of_all_at_once_leave_nothing(
    house: House,
) -> None:
    number = "+77060000015"
    async with talk(house, number) as both:
        leg = await both.begin("whisper")
        await asyncio.gather(
            *(call.press("0123456789*#", how="info", gap=0) for call in (both.caller, leg)),
            both.consultant.press("1234567890", how="info", gap=0),
            both.ask("listen"),
        )
        await both.is_in("listen")
        await both_hear(both.caller, both.consultant)
        await asyncio.gather(*(c.hang_up() for c in (both.caller, both.consultant, leg)))
    assert (await house.appeal(number)).outcome == Outcome.TALKED


@pytest.mark.parametrize("who", ["caller", "consultant"])
async def test_a_conversation_that_ends_lets_the_supervisor_go(house: House, who: str) -> None:
    number = f"+770600001{len(who):02}"
    async with talk(house, number) as both:
        leg = await both.begin("whisper")
        await (both.caller if who == "caller" else both.consultant).hang_up()
        await leg.ended()
    assert (await house.appeal(number)).outcome == Outcome.TALKED


async def test_a_supervisor_who_does_not_answer_changes_nothing(house: House) -> None:
    async with talk(house, "+77060000006") as both, undisturbed(both):
        await both.ask("listen")
        ringing = await both.supervisor.next_call()
        await both.ended()
        await ringing.ended()
        await both_hear(both.caller, both.consultant)


async def test_a_supervisor_whose_telephone_dies_is_not_missed(house: House) -> None:
    async with talk(house, "+77060000007") as both:
        leg = await both.begin("listen")
        leg.drop()
        await both_hear(both.caller, both.consultant)
        await both.ask("leave")
        await both.ended()


async def test_a_killed_controller_leaves_no_ear_and_no_supervisor(
    fragile: House, line: Line
) -> None:
    async with talk(fragile, "+77060000008") as both:
        leg = await both.begin("whisper")
        await line.kill()
        await both_hear(both.caller, both.consultant)
        await line.start()
        await leg.ended()
        await both_hear(both.caller, both.consultant)
        await both.consultant.hang_up()
        await both.caller.ended()
        assert (await fragile.appeal("+77060000008")).outcome == Outcome.TALKED
