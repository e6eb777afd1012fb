"""Many calls that end at the same instant, each in a stage of its own.

`raised` brings every call to its stage and rings a bell: all of them hang up, cross, hand over and
mash keys at once. What is decided by chance is the same for the same seed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.acd.rules.call_commands import SUPERVISE, CallCommand
from callcenter.telephony.calls.outcomes import Outcome
from tests.calls.call_center import CallCenter
from tests.calls.people import add_person
from tests.calls.talking import order
from tests.orders import command_client
from tests.polling import until
from tests.seeds import SeededRandom

#: Who waits wants Kazakh, so that nobody is offered to those who come to help.
CONSULTANTS = tuple(str(extension) for extension in range(301, 361))
HELPERS = tuple(str(extension) for extension in range(401, 425))
CREW = dict.fromkeys(CONSULTANTS, ("kk",)) | dict.fromkeys(HELPERS, ("ru",))
LIMIT = 30.0  # seconds for anything, on a machine that is busy
AT_ONCE = 12  # that are placed at once: what is tested is how they end
KEYS = "0123456789*#"

#: Whose consultant leaves while they are aside are back in the queue.
QUEUE = {Outcome.LEFT_WAITING, Outcome.LEFT_RINGING, Outcome.TALKED}
ANYWHERE = {*QUEUE, Outcome.REDIRECTED, Outcome.NOBODY_FREE}

Action = Callable[[], Awaitable[None]]


@dataclass
class Pair:
    """A caller and a consultant who talk."""

    number: str
    caller: SipCall
    extension: str
    consultant: SipCall


@dataclass
class Storm:
    """The telephones, and what each caller's outcome may be."""

    call_center: CallCenter
    chance: SeededRandom
    stack: AsyncExitStack
    phones: dict[str, Phone] = field(default_factory=dict)
    outcomes: dict[str, set[Outcome]] = field(default_factory=dict)
    legs: list[SipCall] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    helpers: list[str] = field(default_factory=lambda: list(HELPERS))
    part: int = 1

    def some(self, count: int) -> int:
        """So many in a storm of this size, one at least."""
        return -(-count // self.part)

    @property
    def talking(self) -> int:
        """How many conversations there are."""
        return sum(map(self.some, OF_ONE.values())) + 2 * sum(map(self.some, OF_TWO.values()))

    async def begin_work(self, extensions: Sequence[str]) -> None:
        """These consultants sign in, and are free."""
        for each in extensions:
            phone = self.call_center.softphone(each)
            self.phones[each] = await self.stack.enter_async_context(phone)
        await asyncio.gather(*(self.phones[each].register() for each in extensions))
        await until(lambda: self.are_free(extensions), "consultants are free", LIMIT)

    async def are_free(self, extensions: Sequence[str]) -> bool:
        return None not in await self.call_center.redis.zmscore("desk:idle", list(extensions))

    async def dial(self, count: int, keys: str, outcomes: set[Outcome]) -> dict[str, SipCall]:
        """So many callers of 111 who have pressed these keys, by number."""
        numbers = [f"+7701{self.chance.randrange(10**7):07d}" for _ in range(count)]
        self.outcomes |= dict.fromkeys(numbers, outcomes)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(number: str) -> SipCall:
            phone = await self.stack.enter_async_context(self.call_center.phone(number))
            async with turns:
                call = await phone.call("111")
                self.legs.append(call)
                await call.answered(LIMIT)
                await self.call_center.hears_something(call)
                # The switch may drop the first packets, see CallCenter.caller.
                await asyncio.sleep(0.1)
                await call.press(keys)
                return call

        return dict(zip(numbers, await asyncio.gather(*map(one, numbers)), strict=True))

    async def ask(self, extension: str, what: str, **detail: str) -> None:
        """What a consultant asks of the call, which may be over."""
        with suppress(CallcenterError):
            await order(self.call_center, extension, what, **detail)

    async def supervise(self, pair: Pair, supervisor: str, mode: str) -> None:
        async with unit_of_work(self.call_center.engine) as connection:
            own = await consultants.id_of(connection, supervisor)
        detail = {"mode": mode, "extension": supervisor, "id": str(own)}
        with suppress(CallcenterError):
            await command_client(self.call_center.redis).send_to_consultant(
                pair.extension, CallCommand(SUPERVISE, f"user:{supervisor}", detail)
            )

    async def comes(self, extension: str) -> SipCall:
        """The call that rings there is answered."""
        leg = await self.phones[extension].next_call(LIMIT)
        self.legs.append(leg)
        await leg.answer()
        return leg

    async def leave(self, *calls: SipCall) -> None:
        """Some of these hang up, at once or a moment later, perhaps in the same instant."""
        who = self.chance.sample(calls, self.chance.randint(1, len(calls)))
        await self.moment()
        await hang_up(*who)

    async def moment(self) -> None:
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.005, 0.02, 0.1, 0.4)))

    async def mash(self, *calls: SipCall) -> None:
        """Whatever the keys ask for, as fast as telephones can send them, until they hang up."""
        ways: tuple[Literal["info", "rfc4733"], ...] = ("info", "rfc4733")
        floods = [
            asyncio.create_task(call.press(self._keys(), how=how, gap=0))
            for call in calls
            for how in ways
        ]
        await asyncio.sleep(0.5)
        await self.leave(*calls)
        await hang_up(*calls)
        for flood in floods:  # what is keyed after the end is answered by nobody
            flood.cancel()
        await asyncio.gather(*floods, return_exceptions=True)

    def _keys(self) -> str:
        return "".join(self.chance.choices(KEYS, k=60))


async def hang_up(*calls: SipCall) -> None:
    """Everybody at once; who was hung up on is gone already."""
    await asyncio.gather(*(call.hang_up() for call in calls), return_exceptions=True)


# --- stages of a conversation: each is prepared, and gives what is done when the bell rings


async def talks(storm: Storm, pair: Pair) -> Action:
    return partial(storm.leave, pair.caller, pair.consultant)


async def is_held(storm: Storm, pair: Pair) -> Action:
    await storm.ask(pair.extension, "hold")
    return partial(storm.leave, pair.caller, pair.consultant)


async def is_private(storm: Storm, pair: Pair) -> Action:
    third_party = await with_third_party(storm, pair, storm.helpers.pop())
    return partial(storm.leave, pair.caller, pair.consultant, third_party)


async def is_together(storm: Storm, pair: Pair) -> Action:
    third_party = await with_third_party(storm, pair, storm.helpers.pop())
    await storm.ask(pair.extension, "together")
    return partial(storm.leave, pair.caller, pair.consultant, third_party)


async def is_handed_over(storm: Storm, pair: Pair) -> Action:
    """The caller hangs up, or somebody else, in the moment in which a transfer completes."""
    third_party = await with_third_party(storm, pair, storm.helpers.pop())

    async def action() -> None:
        await asyncio.gather(
            storm.ask(pair.extension, "hand_over"),
            storm.leave(pair.caller, pair.caller, pair.consultant, third_party),
        )

    return action


async def with_third_party(storm: Storm, pair: Pair, third_party: str) -> SipCall:
    await storm.ask(pair.extension, "consult", to=third_party)
    leg = await storm.comes(third_party)

    async def here() -> bool:
        return (await order(storm.call_center, pair.extension, "status"))["guest"] == "here"

    await until(here, f"the third party of {pair.extension} is here", LIMIT)
    return leg


async def is_overheard(storm: Storm, pair: Pair) -> Action:
    """A supervisor goes to another mode, perhaps takes over, while the others hang up."""
    supervisor, modes = storm.helpers.pop(), ["listen", "whisper", "join", "leave", "take_over"]
    await add_person(storm.call_center, supervisor, Role.HEAD, supervisor)
    await storm.supervise(pair, supervisor, storm.chance.choice(modes[:3]))
    leg = await storm.comes(supervisor)
    mode = storm.chance.choice(modes)

    async def action() -> None:
        await asyncio.gather(
            storm.supervise(pair, supervisor, mode), storm.leave(pair.caller, pair.consultant, leg)
        )

    return action


async def is_sent_back(storm: Storm, pair: Pair) -> Action:

    async def action() -> None:
        await asyncio.gather(storm.ask(pair.extension, "queue"), storm.leave(pair.caller))

    return action


async def is_redirected(storm: Storm, pair: Pair) -> Action:
    storm.outcomes[pair.number] = ANYWHERE

    async def action() -> None:
        await asyncio.gather(storm.ask(pair.extension, "redirect"), storm.leave(pair.caller))

    return action


async def is_mashed(storm: Storm, pair: Pair) -> Action:
    storm.outcomes[pair.number] = ANYWHERE
    return partial(storm.mash, pair.caller, pair.consultant)


async def cross(storm: Storm, one: Pair, two: Pair) -> Action:
    """Each asks for the other, who is not free."""

    async def action() -> None:
        await asyncio.gather(
            storm.ask(one.extension, "transfer", to=two.extension),
            storm.ask(two.extension, "consult", to=one.extension),
            storm.leave(one.caller, two.caller),
        )

    return action


async def want_the_same(storm: Storm, one: Pair, two: Pair) -> Action:
    """Both hand over to the same third: one gets through, and the other's caller comes back."""
    third = storm.helpers.pop()

    async def action() -> None:
        async with asyncio.TaskGroup() as tasks:
            coming = tasks.create_task(storm.comes(third))
            for pair in (one, two):
                tasks.create_task(storm.ask(pair.extension, "transfer", to=third))
            leg = await coming
            tasks.create_task(storm.leave(one.caller, two.caller, leg))

    return action


# --- the storm

OF_ONE = {
    talks: 10,
    is_held: 6,
    is_private: 4,
    is_together: 4,
    is_handed_over: 4,
    is_overheard: 6,
    is_sent_back: 3,
    is_redirected: 2,
    is_mashed: 3,
}
OF_TWO = {cross: 2, want_the_same: 2}
RINGING, WAITING, IN_MENU, IN_GREETING = 8, 22, 10, 10  # with those who talk a hundred
FEW = 3  # a small storm is a third as large: every stage is in it


@asynccontextmanager
async def raised(
    call_center: CallCenter, chance: SeededRandom, *, small: bool
) -> AsyncIterator[Storm]:
    """The storm is over: everybody has hung up, and the consultants are at work yet."""
    async with AsyncExitStack() as stack:
        storm = Storm(call_center, chance, stack, part=FEW if small else 1)
        storm.pairs = await _talking(storm)
        await storm.begin_work(HELPERS)
        actions = [
            *await _ringing(storm),
            *await _prepared(storm),
            *await _waiting(storm),
            *await _alone(storm, storm.some(IN_MENU), "1", {Outcome.LEFT_IN_MENU}),
            *await _alone(storm, storm.some(IN_GREETING), "", {Outcome.LEFT_IN_GREETING}),
        ]
        await asyncio.gather(*(action() for action in actions))
        await hang_up(*storm.legs)
        yield storm


async def _talking(storm: Storm) -> list[Pair]:
    """Who talks with whom, the register tells: a telephone is not shown who calls."""
    extensions = CONSULTANTS[: storm.talking]
    await storm.begin_work(extensions)
    coming = asyncio.gather(*(storm.comes(each) for each in extensions))
    callers = await storm.dial(storm.talking, "0", QUEUE)
    legs = dict(zip(extensions, await coming, strict=True))
    had_by: dict[str, str] = {}

    async def all_talk() -> bool:
        query = (
            "SELECT a.caller_number, c.extension FROM appeal a "
            "JOIN consultant c ON c.id = a.consultant_id WHERE a.outcome IS NULL"
        )
        async with storm.call_center.engine.connect() as connection:
            rows = await connection.exec_driver_sql(query)
            had_by.update({row.caller_number: row.extension for row in rows})
        return callers.keys() <= had_by.keys()

    await until(all_talk, "all talk", LIMIT)
    return [
        Pair(number, call, had_by[number], legs[had_by[number]]) for number, call in callers.items()
    ]


async def _prepared(storm: Storm) -> list[Action]:
    left = iter(storm.pairs)
    stages = [
        stage(storm, next(left))
        for stage, times in OF_ONE.items()
        for _ in range(storm.some(times))
    ]
    meetings = [
        meeting(storm, next(left), next(left))
        for meeting, times in OF_TWO.items()
        for _ in range(storm.some(times))
    ]
    return await asyncio.gather(*stages, *meetings)


async def _ringing(storm: Storm) -> list[Action]:
    """Consultants answer in the moment in which callers hang up."""
    ringing = storm.some(RINGING)
    extensions = CONSULTANTS[storm.talking : storm.talking + ringing]
    await storm.begin_work(extensions)
    callers = await storm.dial(ringing, "0", QUEUE)
    legs = [await storm.phones[each].next_call(LIMIT) for each in extensions]
    storm.legs += legs

    async def answer(leg: SipCall) -> None:
        await storm.moment()
        with suppress(CallcenterError):
            await leg.answer()

    return [partial(answer, leg) for leg in legs] + _leaving(storm, callers)


async def _waiting(storm: Storm) -> list[Action]:
    waiting = storm.some(WAITING)
    actions = await _alone(storm, waiting, "0", QUEUE)

    async def all_wait() -> bool:
        return await storm.call_center.redis.zcard("desk:waiting") == waiting

    await until(all_wait, f"{waiting} callers wait", LIMIT)
    return actions


async def _alone(storm: Storm, count: int, keys: str, outcomes: set[Outcome]) -> list[Action]:
    return _leaving(storm, await storm.dial(count, keys, outcomes))


def _leaving(storm: Storm, callers: Mapping[str, SipCall]) -> list[Action]:
    return [partial(storm.leave, call) for call in callers.values()]
