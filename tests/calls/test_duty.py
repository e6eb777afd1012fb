"""What consultants dial and do, on the real Asterisk: who is offered a call, and who is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from callcenter.consultants import history
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.jobs import keep_history
from callcenter.consultants.states import ENGAGED, MISSED, TELEPHONE, Duty, State, why_no_calls
from callcenter.consultants.tables import consultant, consultant_state
from callcenter.demo.call import Call
from callcenter.demo.faults import Refused
from callcenter.demo.phone import Phone
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from tests.asterisk.switch import CONSULTANTS, PASSWORD, STRANGER
from tests.calls.house import House, open_house, running_controller, until
from tests.calls.parts import running_line
from tests.services import new_database

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict_house(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[House]:
    """A house in which calls are offered only to consultants who signed in."""
    with new_database(postgres) as database:
        async with open_house(
            short_folder / "strict",
            built_prompts,
            controllers=(),
            database_url=database,
            redis_url=f"{redis_url}?db=2",
            key_timeout=1.0,
            ring_timeout=3.0,
            patience=60.0,
            unified_ring_timeout=2.0,
            sign_in_required=True,
            wrap_up=4.0,
            away_limit=0.5,
        ) as house:
            yield house


@pytest_asyncio.fixture(loop_scope="session")
async def house(strict_house: House) -> AsyncIterator[House]:
    """A house without a controller; each test brings its own. Nothing may be left."""
    yield strict_house
    await strict_house.switch.nothing_left()


@pytest_asyncio.fixture(loop_scope="session")
async def line(house: House) -> AsyncIterator[None]:
    async with running_controller(house.settings, "line-1", house.engine, house.redis):
        yield
        await house.nothing_left()


@asynccontextmanager
async def telephone(house: House, extension: str) -> AsyncIterator[Phone]:
    """A registered softphone, of which the desk knows; nobody has signed in with it."""
    phone = Phone(address=CONSULTANTS, server=house.switch.sip, user=extension, password=PASSWORD)
    async with phone:
        await phone.register()
        await until(lambda: _is_free(house, extension), f"the telephone of {extension} is free")
        yield phone
    await becomes(house, extension, State.SIGNED_OUT)


async def _is_free(house: House, extension: str) -> bool:
    everyone = await DutyDesk(house.redis, house.settings).everyone()
    return any(each.extension == extension and each.telephone == "NOT_INUSE" for each in everyone)


async def duty(house: House, extension: str) -> Duty:
    return await DutyDesk(house.redis, house.settings).of(extension)


async def becomes(house: House, extension: str, state: State) -> Duty:
    async def is_so() -> bool:
        return (await duty(house, extension)).state is state

    await until(is_so, f"{extension} is {state}")
    return await duty(house, extension)


async def dial(house: House, phone: Phone, code: str, prompt: str) -> None:
    """Dial a feature code and hear it confirmed in both languages."""
    call = await phone.call(code)
    await call.answered()
    call.send_silence()
    await call.ended()
    for language in ("kk", "ru"):
        assert house.was_heard(call, language, prompt), f"{language}/{prompt}"


async def sign_in(house: House, phone: Phone, extension: str) -> None:
    await dial(house, phone, "*10", "duty_ready")

    async def is_reachable() -> bool:
        return why_no_calls(await duty(house, extension)) is None

    await until(is_reachable, f"{extension} can be offered calls")


@asynccontextmanager
async def caller_for_a_consultant(house: House, number: str) -> AsyncIterator[Call]:
    async with house.caller(number) as caller:
        await caller.press("0")
        yield caller


async def test_a_working_day_by_feature_codes(house: House, line: None) -> None:
    before = len(await kept(house, "201"))
    async with telephone(house, "201") as phone:
        assert (await duty(house, "201")).state is State.SIGNED_OUT
        async with caller_for_a_consultant(house, "+77030000001") as caller:
            with pytest.raises(TimeoutError):
                await phone.next_call(0.7)
            await sign_in_while_waited_for(phone)
            leg = await phone.next_call()
            await becomes(house, "201", State.RINGING)
            await leg.answer()
            await becomes(house, "201", State.TALKING)
            await house.hears_something(leg)
            await leg.hang_up()
            await becomes(house, "201", State.WRAP_UP)
            await caller.ended()
        await becomes(house, "201", State.READY)
        await dial(house, phone, "*12", "duty_paused")
        lunch = await duty(house, "201")
        assert (lunch.state, lunch.reason, lunch.by) == (State.PAUSED, "lunch", "self")
        await dial(house, phone, "*11", "duty_ready")
        await dial(house, phone, "*123", "duty_paused")
        assert (await duty(house, "201")).reason == "recovery"
        await dial(house, phone, "*129", "duty_refused")
        await dial(house, phone, "*11", "duty_ready")
        await dial(house, phone, "*13", "duty_signed_out")
        await dial(house, phone, "*12", "duty_refused")
        assert (await duty(house, "201")).state is State.SIGNED_OUT
    assert (await kept(house, "201"))[before:] == [
        *("ready", "offered", "ringing", "talking", "wrap_up", "ready"),
        *("paused", "ready", "paused", "ready", "signed_out"),
    ]


async def sign_in_while_waited_for(phone: Phone) -> None:
    """The call comes as soon as the telephone is free again."""
    call = await phone.call("*10")
    await call.answered()
    call.send_silence()
    await call.ended()


async def kept(house: House, extension: str) -> list[str]:
    """The states of a consultant in the database, once all of them are there."""

    async def handed_over() -> bool:
        return not await house.redis.xlen("desk:changes")

    keeping = asyncio.create_task(keep_history(DutyDesk(house.redis, house.settings), house.engine))
    await until(handed_over, "all changes are in the database")
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    query = (
        select(consultant_state.c.state)
        .join(consultant)
        .where(consultant.c.extension == extension)
        .order_by(consultant_state.c.at)
    )
    async with house.engine.connect() as connection:
        return list((await connection.execute(query)).scalars())


async def test_wrap_up_is_ended_early_by_a_code(house: House, line: None) -> None:
    async with telephone(house, "202") as phone:
        await sign_in(house, phone, "202")
        async with house.caller("+77030000002") as caller:
            await caller.press("21")
            await house.talk_shortly(await phone.next_call(20))
            await becomes(house, "202", State.WRAP_UP)
            await dial(house, phone, "*11", "duty_ready")
            assert (await duty(house, "202")).by == "self"
            await caller.ended()


async def test_two_calls_that_ring_out_pause_the_consultant_and_say_why(
    house: House, line: None
) -> None:
    async with (
        telephone(house, "203") as phone,
        caller_for_a_consultant(house, "+77030000003") as caller,
    ):
        await sign_in_while_waited_for(phone)
        for _ in range(2):
            await (await phone.next_call(20)).ended(20)
        paused = await becomes(house, "203", State.PAUSED)
        assert (paused.reason, paused.by) == (MISSED, "desk")
        with pytest.raises(TimeoutError):
            await phone.next_call(1)
        await sign_in_while_waited_for(phone)
        await house.talk_shortly(await phone.next_call(20))
        await caller.ended()
    assert (await house.appeal("+77030000003")).outcome == Outcome.TALKED


async def test_who_signs_out_while_the_telephone_rings_is_not_rung_and_the_next_is(
    house: House, line: None
) -> None:
    async with telephone(house, "201") as first, telephone(house, "204") as second:
        await sign_in(house, first, "201")
        await sign_in(house, second, "204")
        async with (
            caller_for_a_consultant(house, "+77030000004") as caller,
            asyncio.TaskGroup() as others,
        ):
            ringing = await first.next_call()
            others.create_task(_talks(house, second))  # it rings before the first has heard all
            await dial(house, first, "*13", "duty_signed_out")
            await ringing.ended()
            await caller.ended()
        assert (await duty(house, "201")).state is State.SIGNED_OUT
    appeal = await house.appeal("+77030000004")
    assert appeal.consultant_extension == "204"
    why = [e.detail["why"] for e in await house.events(appeal) if e.kind == Moment.UNANSWERED]
    assert why == ["withdrawn"]


async def test_a_killed_controller_leaves_no_ghost(house: House) -> None:
    async with (
        running_line(house.settings, "line-1") as dying,
        telephone(house, "201") as rings,
        telephone(house, "204") as talks,
        caller_for_a_consultant(house, "+77030000005"),
    ):
        await sign_in_while_waited_for(talks)
        leg = await talks.next_call()
        await leg.answer()
        await house.hears_something(leg)
        async with (
            caller_for_a_consultant(house, "+77030000006"),
            running_controller(house.settings, "line-2", house.engine, house.redis),
        ):
            await sign_in_while_waited_for(rings)
            await rings.next_call()
            await dying.kill()
            await leg.hang_up()
            await until(lambda: _nobody_engaged(house), "nobody is engaged", 20)
            assert not await house.redis.exists("desk:held")
            await dying.start()


async def _nobody_engaged(house: House) -> bool:
    everyone = await DutyDesk(house.redis, house.settings).everyone()
    return not any(each.state in ENGAGED for each in everyone)


async def test_a_telephone_that_goes_away_signs_out_and_says_why(house: House, line: None) -> None:
    async with telephone(house, "202") as phone:
        await sign_in(house, phone, "202")
        await phone.unregister()
        gone = await becomes(house, "202", State.SIGNED_OUT)
        assert (gone.reason, gone.by) == (TELEPHONE, "desk")


@pytest.mark.parametrize("code", ["*10", "*12", "*13"])
async def test_a_stranger_and_a_caller_cannot_change_anybodys_state(
    house: House, line: None, code: str
) -> None:
    stranger = Phone(address=STRANGER, server=house.switch.sip, user="201")
    for phone in (stranger, house.phone("201")):
        async with phone:
            call = await phone.call(code)
            with pytest.raises(Refused) as refused:
                await call.answered()
            assert refused.value.status in (401, 404)
    assert (await duty(house, "201")).state is State.SIGNED_OUT


async def test_a_code_without_any_controller_is_refused_at_once(house: House) -> None:
    phone = Phone(address=CONSULTANTS, server=house.switch.sip, user="203", password=PASSWORD)
    async with phone:
        call = await phone.call("*10")
        with pytest.raises(Refused) as refused:
            await call.answered()
        assert refused.value.status == 503


async def test_hours_can_be_reported(house: House, line: None) -> None:
    async with telephone(house, "204") as phone:
        await sign_in(house, phone, "204")
        began = (await duty(house, "204")).since
        await dial(house, phone, "*12", "duty_paused")
        ended = (await duty(house, "204")).since
        await kept(house, "204")
    async with unit_of_work(house.engine) as connection:
        (last,) = [
            each
            for extension, each in (await history.last_changes(connection)).items()
            if extension == "204"
        ]
        from_, to = (last.at.fromtimestamp(at, last.at.tzinfo) for at in (began, ended))
        times = await history.time_in_states(connection, "204", from_, to)
    assert set(times) == {(State.READY, None)}


async def _talks(house: House, phone: Phone) -> None:
    await house.talk_shortly(await phone.next_call(20))
