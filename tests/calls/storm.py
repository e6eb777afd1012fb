"""A hundred calls that end at the same instant, each in a stage of its own (issue 4, item 15).

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
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.orders import SUPERVISE, Order
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.errors import CallcenterError
from callcenter.line.outcomes import Outcome
from callcenter.storage.engine import unit_of_work
from tests.calls.house import House, until
from tests.calls.talking import order
from tests.seeds import SeededRandom

#: Who waits wants Kazakh, so that nobody is offered to those who come to help.
TALKERS = tuple(str(extension) for extension in range(301, 361))
HELPERS = tuple(str(extension) for extension in range(401, 425))
CREW = dict.fromkeys(TALKERS, ("kk",)) | dict.fromkeys(HELPERS, ("ru",))
LIMIT = 30.0  # seconds for anything, on a machine that is busy
AT_ONCE = 12  # that are placed at once: what is tested is how they end
KEYS = "0123456789*#"

#: Whose consultant leaves while they are aside are back in the queue.
QUEUE = {Outcome.LEFT_WAITING, Outcome.LEFT_RINGING, Outcome.TALKED}
ANYWHERE = {*QUEUE, Outcome.REDIRECTED, Outcome.NOBODY_FREE}

Deed = Callable[[], Awaitable[None]]


@dataclass
class Pair:
    """A caller and a consultant who talk."""

    number: str
    caller: Call
    extension: str
    consultant: Call


@dataclass
class Storm:
    """The telephones, and what each caller's outcome may be."""

    house: House
    chance: SeededRandom
    stack: AsyncExitStack
    phones: dict[str, Phone] = field(default_factory=dict)
    outcomes: dict[str, set[Outcome]] = field(default_factory=dict)
    legs: list[Call] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    helpers: list[str] = field(default_factory=lambda: list(HELPERS))

    async def begin_work(self, extensions: Sequence[str]) -> None:
        """These consultants sign in, and are free."""
        for each in extensions:
            phone = self.house.softphone(each)
            self.phones[each] = await self.stack.enter_async_context(phone)
        await asyncio.gather(*(self.phones[each].register() for each in extensions))
        await until(lambda: self.are_free(extensions), "consultants are free", LIMIT)

    async def are_free(self, extensions: Sequence[str]) -> bool:
        return None not in await self.house.redis.zmscore("desk:idle", list(extensions))

    async def dial(self, count: int, keys: str, outcomes: set[Outcome]) -> dict[str, Call]:
        """So many callers of 111 who have pressed these keys, by number."""
        numbers = [f"+7701{self.chance.randrange(10**7):07d}" for _ in range(count)]
        self.outcomes |= dict.fromkeys(numbers, outcomes)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(number: str) -> Call:
            phone = await self.stack.enter_async_context(self.house.phone(number))
            async with turns:
                call = await phone.call("111")
                self.legs.append(call)
                await call.answered(LIMIT)
                await self.house.hears_something(call)
                # The switch may drop the first packets, see House.caller.
                await asyncio.sleep(0.1)
                await call.press(keys)
                return call

        return dict(zip(numbers, await asyncio.gather(*map(one, numbers)), strict=True))

    async def ask(self, extension: str, what: str, **detail: str) -> None:
        """What a consultant asks of the call, which may be over."""
        with suppress(CallcenterError):
            await order(self.house, extension, what, **detail)

    async def supervise(self, pair: Pair, supervisor: str, mode: str) -> None:
        async with unit_of_work(self.house.engine) as connection:
            own = await consultants.id_of(connection, supervisor)
        detail = {"mode": mode, "extension": supervisor, "id": str(own)}
        with suppress(CallcenterError):
            await Dispatch(self.house.redis).to_consultant(
                pair.extension, Order(SUPERVISE, f"user:{supervisor}", detail)
            )

    async def comes(self, extension: str) -> Call:
        """The call that rings there is answered."""
        leg = await self.phones[extension].next_call(LIMIT)
        self.legs.append(leg)
        await leg.answer()
        return leg

    async def leave(self, *calls: Call) -> None:
        """Some of these hang up, at once or a moment later, perhaps in the same instant."""
        who = self.chance.sample(calls, self.chance.randint(1, len(calls)))
        await self.moment()
        await hang_up(*who)

    async def moment(self) -> None:
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.005, 0.02, 0.1, 0.4)))

    async def mash(self, *calls: Call) -> None:
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


async def hang_up(*calls: Call) -> None:
    """Everybody at once; who was hung up on is gone already."""
    await asyncio.gather(*(call.hang_up() for call in calls), return_exceptions=True)


# --- stages of a conversation: each is prepared, and gives what is done when the bell rings


async def talks(storm: Storm, pair: Pair) -> Deed:
    return partial(storm.leave, pair.caller, pair.consultant)


async def is_held(storm: Storm, pair: Pair) -> Deed:
    await storm.ask(pair.extension, "hold")
    return partial(storm.leave, pair.caller, pair.consultant)


async def is_private(storm: Storm, pair: Pair) -> Deed:
    guest = await with_guest(storm, pair, storm.helpers.pop())
    return partial(storm.leave, pair.caller, pair.consultant, guest)


async def is_together(storm: Storm, pair: Pair) -> Deed:
    guest = await with_guest(storm, pair, storm.helpers.pop())
    await storm.ask(pair.extension, "together")
    return partial(storm.leave, pair.caller, pair.consultant, guest)


async def is_handed_over(storm: Storm, pair: Pair) -> Deed:
    """The caller hangs up, or somebody else, in the moment in which a transfer completes."""
    guest = await with_guest(storm, pair, storm.helpers.pop())

    async def deed() -> None:
        await asyncio.gather(
            storm.ask(pair.extension, "hand_over"),
            storm.leave(pair.caller, pair.caller, pair.consultant, guest),
        )

    return deed


async def with_guest(storm: Storm, pair: Pair, guest: str) -> Call:
    await storm.ask(pair.extension, "consult", to=guest)
    leg = await storm.comes(guest)

    async def here() -> bool:
        return (await order(storm.house, pair.extension, "status"))["guest"] == "here"

    await until(here, f"the guest of {pair.extension} is here", LIMIT)
    return leg


async def is_overheard(storm: Storm, pair: Pair) -> Deed:
    """A supervisor goes to another mode, perhaps takes over, while the others hang up."""
    supervisor, modes = storm.helpers.pop(), ["listen", "whisper", "join", "leave", "take_over"]
    await storm.supervise(pair, supervisor, storm.chance.choice(modes[:3]))
    leg = await storm.comes(supervisor)
    mode = storm.chance.choice(modes)

    async def deed() -> None:
        await asyncio.gather(
            storm.supervise(pair, supervisor, mode), storm.leave(pair.caller, pair.consultant, leg)
        )

    return deed


async def is_sent_back(storm: Storm, pair: Pair) -> Deed:

    async def deed() -> None:
        await asyncio.gather(storm.ask(pair.extension, "queue"), storm.leave(pair.caller))

    return deed


async def is_redirected(storm: Storm, pair: Pair) -> Deed:
    storm.outcomes[pair.number] = ANYWHERE

    async def deed() -> None:
        await asyncio.gather(storm.ask(pair.extension, "redirect"), storm.leave(pair.caller))

    return deed


async def is_mashed(storm: Storm, pair: Pair) -> Deed:
    storm.outcomes[pair.number] = ANYWHERE
    return partial(storm.mash, pair.caller, pair.consultant)


async def cross(storm: Storm, one: Pair, two: Pair) -> Deed:
    """Each asks for the other, who is not free."""

    async def deed() -> None:
        await asyncio.gather(
            storm.ask(one.extension, "transfer", to=two.extension),
            storm.ask(two.extension, "consult", to=one.extension),
            storm.leave(one.caller, two.caller),
        )

    return deed


async def want_the_same(storm: Storm, one: Pair, two: Pair) -> Deed:
    """Both hand over to the same third: one gets through, and the other's caller comes back."""
    third = storm.helpers.pop()

    async def deed() -> None:
        async with asyncio.TaskGroup() as tasks:
            coming = tasks.create_task(storm.comes(third))
            for pair in (one, two):
                tasks.create_task(storm.ask(pair.extension, "transfer", to=third))
            leg = await coming
            tasks.create_task(storm.leave(one.caller, two.caller, leg))

    return deed


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
TALKING = sum(OF_ONE.values()) + 2 * sum(OF_TWO.values())
RINGING, WAITING, IN_MENU, IN_GREETING = 8, 22, 10, 10


@asynccontextmanager
async def raised(house: House, chance: SeededRandom) -> AsyncIterator[Storm]:
    """The storm is over: everybody has hung up, and the consultants are at work yet."""
    async with AsyncExitStack() as stack:
        storm = Storm(house, chance, stack)
        storm.pairs = await _talking(storm)
        await storm.begin_work(HELPERS)
        deeds = [
            *await _ringing(storm),
            *await _prepared(storm),
            *await _waiting(storm),
            *await _alone(storm, IN_MENU, "1", {Outcome.LEFT_IN_MENU}),
            *await _alone(storm, IN_GREETING, "", {Outcome.LEFT_IN_GREETING}),
        ]
        await asyncio.gather(*(deed() for deed in deeds))
        await hang_up(*storm.legs)
        yield storm


async def _talking(storm: Storm) -> list[Pair]:
    """Who talks with whom, the register tells: a telephone is not shown who calls."""
    extensions = TALKERS[:TALKING]
    await storm.begin_work(extensions)
    coming = asyncio.gather(*(storm.comes(each) for each in extensions))
    callers = await storm.dial(TALKING, "0", QUEUE)
    legs = dict(zip(extensions, await coming, strict=True))
    had_by: dict[str, str] = {}

    async def all_talk() -> bool:
        query = (
            "SELECT a.caller_number, c.extension FROM appeal a "
            "JOIN consultant c ON c.id = a.consultant_id WHERE a.outcome IS NULL"
        )
        async with storm.house.engine.connect() as connection:
            rows = await connection.exec_driver_sql(query)
            had_by.update({row.caller_number: row.extension for row in rows})
        return callers.keys() <= had_by.keys()

    await until(all_talk, "all talk", LIMIT)
    return [
        Pair(number, call, had_by[number], legs[had_by[number]]) for number, call in callers.items()
    ]


async def _prepared(storm: Storm) -> list[Deed]:
    left = iter(storm.pairs)
    stages = [stage(storm, next(left)) for stage, times in OF_ONE.items() for _ in range(times)]
    meetings = [
        meeting(storm, next(left), next(left))
        for meeting, times in OF_TWO.items()
        for _ in range(times)
    ]
    return await asyncio.gather(*stages, *meetings)


async def _ringing(storm: Storm) -> list[Deed]:
    """Consultants answer in the moment in which callers hang up."""
    extensions = TALKERS[TALKING : TALKING + RINGING]
    await storm.begin_work(extensions)
    callers = await storm.dial(RINGING, "0", QUEUE)
    legs = [await storm.phones[each].next_call(LIMIT) for each in extensions]
    storm.legs += legs

    async def answer(leg: Call) -> None:
        await storm.moment()
        with suppress(CallcenterError):
            await leg.answer()

    return [partial(answer, leg) for leg in legs] + _leaving(storm, callers)


async def _waiting(storm: Storm) -> list[Deed]:
    deeds = await _alone(storm, WAITING, "0", QUEUE)

    async def all_wait() -> bool:
        return await storm.house.redis.zcard("desk:waiting") == WAITING

    await until(all_wait, f"{WAITING} callers wait", LIMIT)
    return deeds


async def _alone(storm: Storm, count: int, keys: str, outcomes: set[Outcome]) -> list[Deed]:
    return _leaving(storm, await storm.dial(count, keys, outcomes))


def _leaving(storm: Storm, callers: Mapping[str, Call]) -> list[Deed]:
    return [partial(storm.leave, call) for call in callers.values()]
