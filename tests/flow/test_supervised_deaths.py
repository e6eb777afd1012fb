"""Each death of a telephone in a supervised conversation: who has the caller, who is heard?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from callcenter.platform.core.caller_id import mask
from callcenter.telephony.acd.distributor import RedisReservation
from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    CommandRefused,
)
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.call_state import CallStage, CallState
from callcenter.telephony.calls.conversation import commands, supervision
from callcenter.telephony.calls.conversation.refer import REFER
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import LegHungUp
from tests.flow.fake_telephony import SlowTelephony
from tests.flow.legs import STAYS, FakeLeg
from tests.flow.scenarios import assert_nothing_left
from tests.flow.story import Story
from tests.polling import until

NEXT = ""  #: the consultant whom the caller gets next
SUPERVISOR, OTHER = "user:head", "user:other"
OUTSIDE = "77012345678"
ID = uuid4()  #: of whoever supervises
MODES = ("listen", "whisper", "join")
of_each_mode = pytest.mark.parametrize("mode", MODES)
of_each_death = pytest.mark.usefixtures("each_death")


class SupervisedTelephony(SlowTelephony):
    """Fake telephony in which the third leg is slow, and Redis may be."""

    def __init__(self, story: Story) -> None:
        super().__init__(story, slow=2)
        self.may_answer.set()
        self.may_reserve = asyncio.Event()
        self.may_reserve.set()

    @asynccontextmanager
    async def reserve(self, call_id: str, extension: str) -> AsyncIterator[RedisReservation]:
        await self.may_reserve.wait()
        async with super().reserve(call_id, extension) as reservation:
            yield reservation


@dataclass
class SupervisedCall:
    """A caller and a consultant, and the supervisors beside them."""

    telephony: SupervisedTelephony
    call: Call
    serving: asyncio.Task[Outcome]

    @property
    def legs(self) -> list[FakeLeg]:
        """The legs that were called: the consultant's, then one after another."""
        return self.telephony.called

    @property
    def heard(self) -> list[str]:
        """All that the caller heard."""
        return self.telephony.leg.heard

    @property
    def inside(self) -> list[FakeLeg]:
        """The legs in the bridge of the conversation that have not hung up."""
        return [each for each in self.telephony.bridges[-1].inside if each.end is None]

    @property
    def states(self) -> list[CallState]:
        """The saved states of the call, one after another, since the conversation began."""
        record, states = self.telephony.record, [CallState(str(uuid4()))]
        for event, detail in zip(record.events, record.details, strict=True):
            states.append(states[-1].after(event, detail, 0.0))
        return states[record.events.index(CallEvent.CONNECTED) + 1 :]

    def count(self, event: CallEvent) -> int:
        return self.telephony.record.events.count(event)

    async def command(self, what: str, whose: str = "200", **detail: str) -> None:
        """Have a consultant's page give a command."""
        await self.call.commands.dispatch(CallCommand(what, "self", detail, whose))

    async def order(self, mode: str, by: str = SUPERVISOR, whose: str = "200") -> Answer:
        detail = {"mode": mode, "extension": "412", "id": str(ID)}
        return await self.call.commands.dispatch(CallCommand(SUPERVISE, by, detail, whose))

    async def begin(self, mode: str, by: str = SUPERVISOR, whose: str = "200") -> FakeLeg:
        """The leg of a supervisor who is in this mode."""
        before = self.count(CallEvent.SUPERVISED)

        async def is_taken() -> bool:
            try:
                return (await self.order(mode, by, whose))["state"] == "ringing"
            except CommandRefused:  # the conversation has only begun, or another has not left yet
                return False

        await until(is_taken, "the supervisor is rung")
        await self.happens(CallEvent.SUPERVISED, before + 1)
        return self.legs[-1]

    async def happens(self, event: CallEvent, times: int = 1) -> None:
        await until(lambda: self.count(event) >= times, f"{event} is recorded")


@asynccontextmanager
async def supervised(
    *others: str, keys: str = STAYS, recording_stops: bool = True
) -> AsyncIterator[SupervisedCall]:
    """A consultant who presses these keys, and who is rung after; at the end all is over.

    The first of the others is the supervisor.
    """
    story = Story(
        {"lang_choice": "0"},
        consultants=[keys, *others],
        network=[STAYS],
        recording_stops=recording_stops,
    )
    telephony = SupervisedTelephony(story)
    call = telephony.call()
    serving = asyncio.create_task(inbound_call(call))
    supervised = SupervisedCall(telephony, call, serving)
    await supervised.happens(CallEvent.CONNECTED)
    yield supervised
    assert await serving == Outcome.TALKED
    assert_nothing_left(telephony)


@of_each_death
@pytest.mark.parametrize("mode", ["listen", "whisper"])
async def test_a_supervised_consultants_death_is_announced_as_any(mode: str) -> None:
    async with supervised(STAYS, NEXT) as talk:
        await talk.begin(mode)
        await talk.legs[0].die()
    assert "kk/consultant_lost" in talk.heard
    assert talk.telephony.urgent_places == [False, True]
    assert talk.count(CallEvent.CONSULTANT_LOST) == 1
    assert talk.count(CallEvent.SUPERVISION_ENDED) == 1


def assert_heard_of_loss(talk: SupervisedCall) -> None:
    assert "kk/consultant_lost" in talk.heard
    assert talk.telephony.urgent_places == [False, True]


def assert_heard_no_loss(talk: SupervisedCall) -> None:
    assert "kk/consultant_lost" not in talk.heard
    assert talk.telephony.urgent_places == [False]
    assert CallEvent.CONSULTANT_LOST not in talk.telephony.record.events


@of_each_death
async def test_a_caller_goes_on_with_a_supervisor_who_joined() -> None:
    async with supervised(STAYS, NEXT) as talk:
        supervisor = await talk.begin("join")
        await talk.legs[0].die()
        await talk.happens(CallEvent.TRANSFERRED)
        await talk.happens(CallEvent.SUPERVISION_ENDED)
        await until(lambda: "occupation" in talk.telephony.held, "the supervisor is reserved")
        assert talk.inside == [talk.telephony.leg, supervisor]
        assert supervisor.heard_alone == ["kk/caller_left_to_you"]
        assert "recording" in talk.telephony.held
        assert talk.telephony.record.consultants[-1] == ID
        # Nobody ordered this, and whoever resumes the call finds the two talking.
        assert talk.count(CallEvent.SUPERVISED) == talk.count(CallEvent.SUPERVISION_ENDED) == 1
        assert {each.stage for each in talk.states} == {CallStage.TALKING}
        assert talk.states[-1].consultant == "412"
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_of_loss(talk)
    assert talk.count(CallEvent.CONSULTANT_LOST) == 1


@of_each_death
@pytest.mark.parametrize("act", ["nothing", "a key", "a command", "the button", "a page's look"])
async def test_a_supervisor_who_did_nothing_does_not_end_the_call(act: str) -> None:
    """Whoever did may: but who did not may mean to leave the two of them."""
    async with supervised(STAYS, NEXT) as talk:
        supervisor = await talk.begin("join")
        await talk.legs[0].die()
        await talk.happens(CallEvent.SUPERVISION_ENDED)
        await talk.happens(CallEvent.TRANSFERRED)
        match act:
            case "a key":
                for key in "*6":
                    supervisor.pressed(key)
                await talk.happens(CallEvent.MUTED)
            case "a command":
                await talk.command("mute", whose="412")
            case "a page's look":
                await talk.command("status", whose="412")
            case "the button":
                supervisor.press_hold(True)
                await talk.happens(CallEvent.HELD)
                supervisor.press_hold(False)
                await talk.happens(CallEvent.RESUMED)
        supervisor.leaves(LegHungUp("hung up"))
    has_acted = act in ("a key", "a command")
    (assert_heard_no_loss if has_acted else assert_heard_of_loss)(talk)


@pytest.mark.parametrize(
    ("what", "detail"),
    [("consult", {"how": "telephone"}), ("transfer", REFER)],
    ids=["the second line", "REFER"],
)
async def test_a_supervisor_who_dialled_a_colleague_has_acted(
    what: str, detail: dict[str, str]
) -> None:
    async with supervised(STAYS, STAYS) as talk:
        supervisor = await talk.begin("join")
        await talk.legs[0].die()
        await talk.happens(CallEvent.TRANSFERRED)
        talk.telephony.may_answer.clear()
        await talk.command(what, whose="412", to="201", **detail)
        await until(lambda: len(talk.legs) == 3, "the colleague is rung")
        talk.legs[2].leaves(LegHungUp("no answer"))
        talk.telephony.may_answer.set()
        await talk.happens(CallEvent.RESUMED)
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(talk)


async def test_a_supervisor_who_heard_long_ago_ends_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "SUPERVISOR_KNOWS_AFTER", 0.0)
    async with supervised(STAYS) as talk:
        supervisor = await talk.begin("join")
        await talk.legs[0].die()
        await until(lambda: supervisor.heard_alone, "the supervisor hears of it")
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(talk)


@of_each_death
async def test_a_transferred_caller_is_no_longer_the_supervisors() -> None:
    async with supervised(STAYS, STAYS) as talk:
        await talk.begin("join")
        await talk.legs[0].die()
        await talk.happens(CallEvent.TRANSFERRED)
        await talk.begin("join", by=OTHER, whose="412")
        await talk.order("take_over", by=OTHER, whose="412")
        await talk.happens(CallEvent.TRANSFERRED, 2)
        talk.legs[2].leaves(LegHungUp("hung up"))
    assert_heard_no_loss(talk)


async def test_a_hangup_leaves_the_caller_to_a_joined_supervisor() -> None:
    async with supervised(STAYS) as talk:
        supervisor = await talk.begin("join")
        talk.legs[0].leaves(LegHungUp("hung up"))
        await talk.happens(CallEvent.TRANSFERRED)
        assert talk.inside == [talk.telephony.leg, supervisor]
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(talk)


@of_each_death
async def test_a_held_caller_is_given_to_a_supervisor_who_joined() -> None:
    async with supervised(STAYS, NEXT, keys=f"*5{STAYS}") as talk:
        await talk.happens(CallEvent.HELD)
        supervisor = await talk.begin("join")
        await talk.legs[0].die()
        await talk.happens(CallEvent.TRANSFERRED)
        assert {*talk.inside} == {talk.telephony.leg, supervisor}
        assert "kk/consultant_lost" not in talk.heard
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_of_loss(talk)


@of_each_death
async def test_a_caller_left_to_a_holding_telephone_hears_music() -> None:
    async with supervised(STAYS, NEXT) as talk:
        supervisor = await talk.begin("join")
        supervisor.press_hold(True)
        await talk.legs[0].die()
        await talk.happens(CallEvent.HELD)
        assert "music" in talk.telephony.held
        assert talk.inside == [supervisor]
        supervisor.press_hold(False)
        await talk.happens(CallEvent.RESUMED)
        assert {*talk.inside} == {talk.telephony.leg, supervisor}
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_of_loss(talk)


@of_each_death
@pytest.mark.parametrize(
    ("what", "detail"),
    [("consult", {"to": "201"}), ("transfer", {"to": "201"}), ("ring_again", {})],
)
async def test_a_joined_supervisor_gets_whom_no_rung_consultant_takes(
    what: str, detail: dict[str, str]
) -> None:
    async with supervised(STAYS, STAYS, NEXT) as talk:
        supervisor = await talk.begin("join")
        talk.telephony.may_answer.clear()
        await talk.command(what, **detail)
        await until(lambda: len(talk.legs) == 3, "somebody is rung")
        await talk.legs[0].die()
        if what != "ring_again":
            await talk.happens(CallEvent.CONSULTANT_LOST)
        talk.legs[2].leaves(LegHungUp("no answer"))
        talk.telephony.may_answer.set()
        await talk.happens(CallEvent.TRANSFERRED)
        assert {*talk.inside} == {talk.telephony.leg, supervisor}
        assert talk.states[-1].stage is CallStage.TALKING
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_of_loss(talk)


@of_each_death
@of_each_mode
async def test_a_colleague_who_answers_gets_the_caller_before_a_supervisor(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(supervision, "POLL_INTERVAL", 0.01)
    async with supervised(STAYS, STAYS) as talk:
        await talk.begin(mode)
        talk.telephony.may_answer.clear()
        await talk.command("consult", to="201")
        await until(lambda: len(talk.legs) == 3, "the colleague is rung")
        await talk.legs[0].die()
        await talk.happens(CallEvent.CONSULTANT_LOST)
        talk.telephony.may_answer.set()
        await talk.happens(CallEvent.TRANSFERRED)
        assert talk.states[-1].consultant == "201"
        await talk.happens(CallEvent.SUPERVISED, 2)
        await talk.order("leave", whose="201")
        await talk.happens(CallEvent.SUPERVISION_ENDED)
        talk.legs[2].leaves(LegHungUp("hung up"))
    assert "kk/consultant_lost" not in talk.heard


async def begin_outside(talk: SupervisedCall, mode: str) -> FakeLeg:
    """The leg of an external party who was called, beside a supervisor in this mode."""
    await talk.begin(mode)
    await talk.command("call", to=OUTSIDE)
    await talk.happens(CallEvent.THIRD_PARTY_ANSWERED)
    return talk.legs[2]


async def stay_beside(talk: SupervisedCall, outsider: FakeLeg) -> None:
    """The supervisor who had joined has the caller now, and stays when the outsider leaves."""
    supervisor = talk.legs[1]
    await talk.happens(CallEvent.TRANSFERRED)
    assert {*talk.inside} >= {talk.telephony.leg, supervisor, outsider}
    assert "recording" in talk.telephony.held
    assert talk.states[-1].consultant == "412"
    assert talk.states[-1].is_with([mask(f"+{OUTSIDE}")])
    outsider.leaves(LegHungUp("hung up"))
    await talk.happens(CallEvent.THIRD_PARTY_FAILED)
    assert "kk/goodbye" not in talk.heard
    supervisor.leaves(LegHungUp("hung up"))


@of_each_death
async def test_a_joined_supervisor_stays_beside_an_outsider_after_a_death() -> None:
    async with supervised(STAYS, NEXT) as talk:
        outsider = await begin_outside(talk, "join")
        await talk.legs[0].die()
        await stay_beside(talk, outsider)
    assert CallEvent.LEFT_OUTSIDE not in talk.telephony.record.events
    assert_heard_of_loss(talk)


@pytest.mark.parametrize("stops", [True, False], ids=["recording stops", "recording runs on"])
async def test_a_joined_supervisor_stays_beside_whom_the_call_was_handed(stops: bool) -> None:
    async with supervised(STAYS, recording_stops=stops) as talk:
        outsider = await begin_outside(talk, "join")
        await talk.command("hand_over")
        await stay_beside(talk, outsider)
    assert CallEvent.LEFT_OUTSIDE not in talk.telephony.record.events
    assert_heard_no_loss(talk)


async def test_a_refused_hand_over_leaves_a_listening_supervisor_there() -> None:
    async with supervised(STAYS, recording_stops=False) as talk:
        outsider = await begin_outside(talk, "listen")
        with pytest.raises(CommandRefused, match="recording is unconfirmed"):
            await talk.command("hand_over")
        assert (await talk.order("listen"))["state"] == "changed"
        outsider.leaves(LegHungUp("hung up"))
        await talk.happens(CallEvent.THIRD_PARTY_FAILED)
        talk.legs[0].leaves(LegHungUp("hung up"))
    assert_heard_no_loss(talk)


async def test_an_unproved_recording_lets_nobody_be_handed_outside_later() -> None:
    async with supervised(STAYS, recording_stops=False) as talk:
        outsider = await begin_outside(talk, "join")
        await talk.command("hand_over")
        await talk.happens(CallEvent.TRANSFERRED)
        talk.telephony.story = replace(talk.telephony.story, recording_stops=True)
        with pytest.raises(CommandRefused, match="recording is unconfirmed"):
            await talk.command("hand_over", whose="412")
        outsider.leaves(LegHungUp("hung up"))
        await talk.happens(CallEvent.THIRD_PARTY_FAILED)
        talk.legs[1].leaves(LegHungUp("hung up"))


async def leave_outside(talk: SupervisedCall, outsider: FakeLeg) -> None:
    """The caller is left with the outsider alone: nobody hears them, nothing is recorded."""
    await talk.happens(CallEvent.LEFT_OUTSIDE)
    await talk.happens(CallEvent.SUPERVISION_ENDED)
    assert "ear" not in talk.telephony.held
    assert "recording" not in talk.telephony.held
    outsider.leaves(LegHungUp("hung up"))


@of_each_death
@pytest.mark.parametrize("mode", ["listen", "whisper"])
async def test_a_supervisor_hears_no_caller_whom_a_death_left_outside(mode: str) -> None:
    async with supervised(STAYS) as talk:
        outsider = await begin_outside(talk, mode)
        await talk.legs[0].die()
        await leave_outside(talk, outsider)
    assert_heard_no_loss(talk)


@pytest.mark.parametrize("mode", ["listen", "whisper"])
async def test_a_supervisor_hears_no_caller_who_was_handed_outside(mode: str) -> None:
    async with supervised(STAYS) as talk:
        outsider = await begin_outside(talk, mode)
        await talk.command("hand_over")
        await leave_outside(talk, outsider)
    assert_heard_no_loss(talk)


@of_each_death
@pytest.mark.parametrize(
    ("first", "event"),
    [(0, CallEvent.TRANSFERRED), (1, CallEvent.SUPERVISION_ENDED)],
    ids=["the consultant first", "the supervisor first"],
)
async def test_a_caller_whose_consultant_and_supervisor_died_goes_first(
    first: int, event: CallEvent
) -> None:
    async with supervised(STAYS, NEXT) as talk:
        await talk.begin("join")
        await talk.legs[first].die()
        await talk.happens(event)
        await talk.legs[1 - first].die()
    assert_heard_of_loss(talk)
    assert talk.count(CallEvent.CONSULTANT_LOST) == talk.count(CallEvent.SUPERVISION_ENDED) == 1


async def test_a_claim_is_reported_once_with_who_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "POLL_INTERVAL", 0.01)
    claims: list[str] = []
    async with supervised(STAYS, STAYS, NEXT) as talk:
        talk.call.on_supervisor_claimed = claims.append
        supervisor = await talk.begin("join")
        assert claims == []
        await talk.command("consult", to="201")
        await talk.happens(CallEvent.THIRD_PARTY_ANSWERED)
        await talk.command("hand_over")
        await talk.happens(CallEvent.SUPERVISED, 2)
        await talk.legs[2].die()
        await talk.happens(CallEvent.TRANSFERRED, 2)
        supervisor.leaves(LegHungUp("hung up"))
    assert claims == ["201"]


@of_each_death
@of_each_mode
async def test_an_ordered_takeover_outlives_the_consultant(mode: str) -> None:
    """Also while Redis keeps the reservation of the supervisor waiting."""
    async with supervised(STAYS) as talk:
        supervisor = await talk.begin(mode)
        talk.telephony.may_reserve.clear()
        await talk.order("take_over")
        await talk.happens(CallEvent.SUPERVISED, 2)
        await talk.legs[0].die()
        await talk.happens(CallEvent.TRANSFERRED)
        talk.telephony.may_reserve.set()
        await until(lambda: "occupation" in talk.telephony.held, "the supervisor is reserved")
        supervisor.leaves(LegHungUp("hung up"))
    assert_heard_no_loss(talk)


@of_each_death
async def test_a_supervisor_who_took_over_dies_as_a_consultant() -> None:
    async with supervised(STAYS, NEXT) as talk:
        supervisor = await talk.begin("listen")
        await talk.order("take_over")
        await talk.happens(CallEvent.TRANSFERRED)
        await supervisor.die()
    assert "kk/consultant_lost" in talk.heard
    assert talk.telephony.urgent_places == [False, True]


@of_each_death
@of_each_mode
async def test_a_supervisors_death_is_recorded_and_noticed_by_nobody(mode: str) -> None:
    async with supervised(STAYS, STAYS) as talk:
        supervisor = await talk.begin(mode)
        heard = [*talk.heard]
        await supervisor.die()
        await talk.happens(CallEvent.SUPERVISION_ENDED)
        assert "ear" not in talk.telephony.held
        assert talk.heard == heard
        other = await talk.begin(mode, by=OTHER)
        talk.legs[0].leaves(LegHungUp("hung up"))
        other.leaves(LegHungUp("hung up"))
    assert "kk/consultant_lost" not in talk.heard
    assert talk.telephony.urgent_places == [False]
    assert talk.count(CallEvent.CONNECTED) == 1
    assert not {CallEvent.HELD, CallEvent.CONSULTANT_LOST} & {*talk.telephony.record.events}
    assert talk.count(CallEvent.SUPERVISED) == talk.count(CallEvent.SUPERVISION_ENDED) == 2


@of_each_death
async def test_a_supervisor_hears_the_third_party_that_has_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "POLL_INTERVAL", 0.01)
    async with supervised(STAYS, STAYS, keys=f"*2201#{STAYS}") as talk:
        await talk.happens(CallEvent.THIRD_PARTY_ANSWERED)
        await talk.begin("listen")
        await talk.legs[0].die()
        await talk.happens(CallEvent.SUPERVISED, 2)
        assert talk.telephony.snooped == [(talk.legs[0], False), (talk.legs[1], False)]
        talk.legs[1].leaves(LegHungUp("hung up"))
    assert "kk/consultant_lost" not in talk.heard
    assert talk.count(CallEvent.SUPERVISION_ENDED) == 1
