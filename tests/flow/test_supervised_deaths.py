"""Each death of a telephone in a supervised conversation: who has the caller, who is heard?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest

from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    CommandRefused,
)
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.conversation import supervision
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import LegHungUp
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.legs import STAYS, FakeLeg
from tests.flow.scenarios import assert_nothing_left
from tests.flow.story import Story
from tests.polling import until

pytestmark = pytest.mark.usefixtures("each_death")

NEXT = ""  #: the consultant whom the caller gets next
SUPERVISOR, OTHER = "user:head", "user:other"
ID = uuid4()  #: of whoever supervises
MODES = ("listen", "whisper", "join")
of_each_mode = pytest.mark.parametrize("mode", MODES)


@dataclass
class SupervisedCall:
    """A caller and a consultant, and the supervisors beside them."""

    telephony: FakeTelephony
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

    def count(self, event: CallEvent) -> int:
        return self.telephony.record.events.count(event)

    async def order(self, mode: str, by: str = SUPERVISOR, whose: str = "200") -> Answer:
        detail = {"mode": mode, "extension": "412", "id": str(ID)}
        return await self.call.commands.dispatch(CallCommand(SUPERVISE, by, detail, whose))

    async def begin(self, mode: str, by: str = SUPERVISOR) -> FakeLeg:
        """The leg of a supervisor who is in this mode."""
        before = self.count(CallEvent.SUPERVISED)

        async def is_taken() -> bool:
            try:
                return (await self.order(mode, by))["state"] == "ringing"
            except CommandRefused:  # the conversation has only begun, or another has not left yet
                return False

        await until(is_taken, "the supervisor is rung")
        await self.happens(CallEvent.SUPERVISED, before + 1)
        return self.legs[-1]

    async def happens(self, event: CallEvent, times: int = 1) -> None:
        await until(lambda: self.count(event) >= times, f"{event} is recorded")


@asynccontextmanager
async def supervised(*others: str, keys: str = STAYS) -> AsyncIterator[SupervisedCall]:
    """A consultant who presses these keys, and who is rung after; at the end all is over."""
    telephony = FakeTelephony(Story({"lang_choice": "0"}, consultants=[keys, *others]))
    call = telephony.call()
    serving = asyncio.create_task(inbound_call(call))
    supervised = SupervisedCall(telephony, call, serving)
    await supervised.happens(CallEvent.CONNECTED)
    yield supervised
    assert await serving == Outcome.TALKED
    assert_nothing_left(telephony)


@pytest.mark.parametrize("mode", ["listen", "whisper"])
async def test_a_supervised_consultants_death_is_announced_as_any(mode: str) -> None:
    async with supervised(STAYS, NEXT) as talk:
        await talk.begin(mode)
        await talk.legs[0].die()
    assert "kk/consultant_lost" in talk.heard
    assert talk.telephony.urgent_places == [False, True]
    assert talk.count(CallEvent.CONSULTANT_LOST) == 1
    assert talk.count(CallEvent.SUPERVISION_ENDED) == 1


async def test_a_caller_goes_on_with_a_supervisor_who_joined() -> None:
    async with supervised(STAYS) as talk:
        supervisor = await talk.begin("join")
        await talk.legs[0].die()
        await talk.happens(CallEvent.TRANSFERRED)
        await talk.happens(CallEvent.SUPERVISION_ENDED)
        await until(lambda: "occupation" in talk.telephony.held, "the supervisor is reserved")
        assert supervisor.end is None
        assert "recording" in talk.telephony.held
        supervisor.leaves(LegHungUp("hung up"))
    assert "kk/consultant_lost" not in talk.heard
    assert talk.telephony.urgent_places == [False]
    assert talk.telephony.record.consultants[-1] == ID
    assert talk.count(CallEvent.CONSULTANT_LOST) == talk.count(CallEvent.SUPERVISION_ENDED) == 1


async def test_a_held_caller_is_given_to_a_supervisor_who_joined() -> None:
    async with supervised(STAYS, keys=f"*5{STAYS}") as talk:
        await talk.happens(CallEvent.HELD)
        supervisor = await talk.begin("join")
        await talk.legs[0].die()
        await talk.happens(CallEvent.TRANSFERRED)
        await talk.happens(CallEvent.RESUMED)
        supervisor.leaves(LegHungUp("hung up"))
    assert "kk/consultant_lost" not in talk.heard


@pytest.mark.parametrize("first", [0, 1], ids=["the consultant first", "the supervisor first"])
async def test_a_caller_whose_consultant_and_supervisor_died_goes_first(first: int) -> None:
    async with supervised(STAYS, NEXT) as talk:
        await talk.begin("join")
        for number in (first, 1 - first):
            await talk.legs[number].die()
    assert "kk/consultant_lost" in talk.heard
    assert talk.telephony.urgent_places == [False, True]
    assert talk.count(CallEvent.SUPERVISION_ENDED) == 1


async def test_a_supervisor_who_took_over_dies_as_a_consultant() -> None:
    async with supervised(STAYS, NEXT) as talk:
        supervisor = await talk.begin("listen")
        await talk.order("take_over")
        await talk.happens(CallEvent.TRANSFERRED)
        await supervisor.die()
    assert "kk/consultant_lost" in talk.heard
    assert talk.telephony.urgent_places == [False, True]


@of_each_mode
async def test_a_supervisors_death_is_recorded_and_noticed_by_nobody(mode: str) -> None:
    async with supervised(STAYS, STAYS) as talk:
        supervisor = await talk.begin(mode)
        heard = [*talk.heard]
        await supervisor.die()
        await talk.happens(CallEvent.SUPERVISION_ENDED)
        assert "ear" not in talk.telephony.held
        assert talk.heard == heard
        await talk.begin(mode, by=OTHER)
        talk.legs[0].leaves(LegHungUp("hung up"))
    assert "kk/consultant_lost" not in talk.heard
    assert talk.telephony.urgent_places == [False]
    assert talk.count(CallEvent.CONNECTED) == 1
    assert not {CallEvent.HELD, CallEvent.CONSULTANT_LOST} & {*talk.telephony.record.events}
    assert talk.count(CallEvent.SUPERVISED) == talk.count(CallEvent.SUPERVISION_ENDED) == 2


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
