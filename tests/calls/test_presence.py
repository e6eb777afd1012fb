"""What consultants dial and do, on the real Asterisk: who is offered a call, and who is not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from callcenter.consultants import state_history
from callcenter.consultants.jobs import keep_history
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import (
    ENGAGED,
    MISSED,
    TELEPHONE,
    PresenceState,
    PresenceStatus,
    why_no_calls,
)
from callcenter.consultants.tables import consultant, consultant_state
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.asterisk.switch import CONSULTANTS, PASSWORD, STRANGER
from tests.calls.call_center import CallCenter, running_call_center, running_controller
from tests.calls.processes import running_controller_program
from tests.polling import until
from tests.services import new_database

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict_call_center(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[CallCenter]:
    """A call center in which calls are offered only to consultants who signed in."""
    with new_database(postgres) as database:
        async with running_call_center(
            short_folder / "strict",
            built_prompts,
            controllers=(),
            database_url=database,
            redis_url=f"{redis_url}?db=2",
            key_timeout=1.0,
            ring_timeout=3.0,
            patience=60.0,
            unified_ring_timeout=5.0,
            sign_in_required=True,
            wrap_up=4.0,
            away_limit=0.5,
            claim_timeout=5.0,  # one test waits for it
        ) as call_center:
            yield call_center


@pytest_asyncio.fixture(loop_scope="session")
async def call_center(strict_call_center: CallCenter) -> AsyncIterator[CallCenter]:
    """A call center without a controller; each test brings its own. Nothing may be left."""
    yield strict_call_center
    await strict_call_center.switch.assert_no_resources_left()


@pytest_asyncio.fixture(loop_scope="session")
async def line(call_center: CallCenter) -> AsyncIterator[None]:
    async with running_controller(call_center.settings, "line-1"):
        await until(lambda: has_roster(call_center), "the roster is there")
        yield
        await call_center.assert_no_resources_left()


async def has_roster(call_center: CallCenter) -> bool:
    return bool(await call_center.redis.exists("desk:roster"))


@asynccontextmanager
async def telephone(call_center: CallCenter, extension: str) -> AsyncIterator[Phone]:
    """A registered softphone, of which the distributor knows; nobody has signed in with it."""
    phone = Phone(
        address=CONSULTANTS, server=call_center.switch.sip, user=extension, password=PASSWORD
    )
    async with phone:
        await phone.register()
        await until(
            lambda: _is_free(call_center, extension), f"the telephone of {extension} is free"
        )
        yield phone
    await becomes(call_center, extension, PresenceState.SIGNED_OUT)


async def _is_free(call_center: CallCenter, extension: str) -> bool:
    everyone = await PresenceService(call_center.redis, call_center.settings).everyone()
    return any(each.extension == extension and each.telephone == "NOT_INUSE" for each in everyone)


async def presence_of(call_center: CallCenter, extension: str) -> PresenceStatus:
    return await PresenceService(call_center.redis, call_center.settings).of(extension)


async def becomes(call_center: CallCenter, extension: str, state: PresenceState) -> PresenceStatus:
    async def is_so() -> bool:
        return (await presence_of(call_center, extension)).state is state

    await until(is_so, f"{extension} is {state}")
    return await presence_of(call_center, extension)


async def dial(call_center: CallCenter, phone: Phone, code: str, prompt: str) -> None:
    """Dial a feature code and hear it confirmed in both languages."""
    call = await phone.call(code)
    await call.answered()
    call.send_silence()
    await call.ended()
    for language in ("kk", "ru"):
        assert call_center.was_heard(call, language, prompt), f"{language}/{prompt}"


async def sign_in(call_center: CallCenter, phone: Phone, extension: str) -> None:
    await dial(call_center, phone, "*10", "duty_ready")

    async def is_reachable() -> bool:
        return why_no_calls(await presence_of(call_center, extension)) is None

    await until(is_reachable, f"{extension} can be offered calls")


@asynccontextmanager
async def caller_for_a_consultant(call_center: CallCenter, number: str) -> AsyncIterator[SipCall]:
    async with call_center.caller(number) as caller:
        await caller.press("11")
        yield caller


async def test_a_late_controller_serves_what_consultants_dial(call_center: CallCenter) -> None:
    async with running_controller(call_center.settings, "line-1") as controller:
        admission = controller.node.membership.admission
        await until(lambda: has_roster(call_center), "the roster is there")
        async with telephone(call_center, "201") as phone:
            admission.observe(time.monotonic() + 60.0, 1e9)  # closed for that minute
            assert admission.is_closed
            await dial(call_center, phone, "*10", "duty_ready")
            await dial(call_center, phone, "*13", "duty_signed_out")
            assert admission.is_closed


async def test_a_working_day_by_feature_codes(call_center: CallCenter, line: None) -> None:
    before = len(await stored(call_center, "201"))
    async with telephone(call_center, "201") as phone:
        assert (await presence_of(call_center, "201")).state is PresenceState.SIGNED_OUT
        async with caller_for_a_consultant(call_center, "+77030000001") as caller:
            with pytest.raises(TimeoutError):
                await phone.next_call(0.7)
            await sign_in_while_waited_for(phone)
            leg = await phone.next_call()
            await becomes(call_center, "201", PresenceState.RINGING)
            await leg.answer()
            await becomes(call_center, "201", PresenceState.TALKING)
            await call_center.hears_something(leg)
            await leg.hang_up()
            await becomes(call_center, "201", PresenceState.WRAP_UP)
            await caller.ended()
        await becomes(call_center, "201", PresenceState.READY)
        await dial(call_center, phone, "*12", "duty_paused")
        lunch = await presence_of(call_center, "201")
        assert (lunch.state, lunch.reason, lunch.by) == (PresenceState.PAUSED, "lunch", "self")
        await dial(call_center, phone, "*11", "duty_ready")
        await dial(call_center, phone, "*123", "duty_paused")
        assert (await presence_of(call_center, "201")).reason == "recovery"
        await dial(call_center, phone, "*129", "duty_refused")
        await dial(call_center, phone, "*11", "duty_ready")
        await dial(call_center, phone, "*13", "duty_signed_out")
        await dial(call_center, phone, "*12", "duty_refused")
        assert (await presence_of(call_center, "201")).state is PresenceState.SIGNED_OUT
    assert (await stored(call_center, "201"))[before:] == [
        *("ready", "offered", "ringing", "talking", "wrap_up", "ready"),
        *("paused", "ready", "paused", "ready", "signed_out"),
    ]


async def sign_in_while_waited_for(phone: Phone) -> None:
    """The call comes as soon as the telephone is free again."""
    call = await phone.call("*10")
    await call.answered()
    call.send_silence()
    await call.ended()


async def stored(call_center: CallCenter, extension: str) -> list[str]:
    """The states of a consultant in the database, once all of them are there."""

    async def handed_over() -> bool:
        return not await call_center.redis.xlen("desk:changes")

    keeping = asyncio.create_task(
        keep_history(PresenceService(call_center.redis, call_center.settings), call_center.engine)
    )
    await until(handed_over, "all changes are in the database")
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    query = (
        select(consultant_state.c.state)
        .join(consultant)
        .where(consultant.c.extension == extension)
        .order_by(consultant_state.c.at)
    )
    async with call_center.engine.connect() as connection:
        return list((await connection.execute(query)).scalars())


async def test_wrap_up_is_ended_early_by_a_code(call_center: CallCenter, line: None) -> None:
    async with telephone(call_center, "202") as phone:
        await sign_in(call_center, phone, "202")
        async with call_center.caller("+77030000002") as caller:
            await caller.press("21")
            await call_center.talk_shortly(await phone.next_call(20))
            await becomes(call_center, "202", PresenceState.WRAP_UP)
            await dial(call_center, phone, "*11", "duty_ready")
            assert (await presence_of(call_center, "202")).by == "self"
            await caller.ended()


async def test_two_unanswered_calls_pause_the_consultant_with_the_reason(
    call_center: CallCenter, line: None
) -> None:
    async with (
        telephone(call_center, "203") as phone,
        caller_for_a_consultant(call_center, "+77030000003") as caller,
    ):
        await sign_in_while_waited_for(phone)
        for _ in range(2):
            await (await phone.next_call(20)).ended(20)
        paused = await becomes(call_center, "203", PresenceState.PAUSED)
        assert (paused.reason, paused.by) == (MISSED, "desk")
        with pytest.raises(TimeoutError):
            await phone.next_call(1)
        await sign_in_while_waited_for(phone)
        await call_center.talk_shortly(await phone.next_call(20))
        await caller.ended()
    assert (await call_center.appeal("+77030000003")).outcome == Outcome.TALKED


async def test_signing_out_while_ringing_passes_the_call_on(
    call_center: CallCenter, line: None
) -> None:
    async with telephone(call_center, "201") as first, telephone(call_center, "204") as second:
        await sign_in(call_center, first, "201")
        await sign_in(call_center, second, "204")
        async with (
            caller_for_a_consultant(call_center, "+77030000004") as caller,
            asyncio.TaskGroup() as others,
        ):
            ringing = await first.next_call()
            others.create_task(
                _talks(call_center, second)
            )  # it rings before the first has heard all
            await dial(call_center, first, "*13", "duty_signed_out")
            await ringing.ended()
            await caller.ended()
        assert (await presence_of(call_center, "201")).state is PresenceState.SIGNED_OUT
    appeal = await call_center.appeal("+77030000004")
    assert appeal.consultant_extension == "204"
    why = [
        e.detail["why"] for e in await call_center.events(appeal) if e.kind == CallEvent.UNANSWERED
    ]
    assert why == ["withdrawn"]


async def test_a_killed_controller_leaves_no_ghost(call_center: CallCenter) -> None:
    async with (
        running_controller_program(call_center.settings, "line-1") as dying,
        telephone(call_center, "201") as rings,
        telephone(call_center, "204") as talks,
        caller_for_a_consultant(call_center, "+77030000005"),
    ):
        await sign_in_while_waited_for(talks)
        leg = await talks.next_call()
        await leg.answer()
        await call_center.hears_something(leg)
        async with (
            caller_for_a_consultant(call_center, "+77030000006"),
            running_controller(call_center.settings, "line-2"),
        ):
            await sign_in_while_waited_for(rings)
            await rings.next_call()
            await dying.kill()
            await leg.hang_up()
            await until(lambda: _nobody_engaged(call_center), "nobody is engaged", 20)
            assert not await call_center.redis.exists("desk:held")
            await dying.start()


async def _nobody_engaged(call_center: CallCenter) -> bool:
    everyone = await PresenceService(call_center.redis, call_center.settings).everyone()
    return not any(each.state in ENGAGED for each in everyone)


async def test_a_telephone_that_disappears_signs_out_and_says_why(
    call_center: CallCenter, line: None
) -> None:
    async with telephone(call_center, "202") as phone:
        await sign_in(call_center, phone, "202")
        await phone.unregister()
        gone = await becomes(call_center, "202", PresenceState.SIGNED_OUT)
        assert (gone.reason, gone.by) == (TELEPHONE, "desk")


@pytest.mark.parametrize("code", ["*10", "*12", "*13"])
async def test_a_stranger_and_a_caller_cannot_change_anybodys_state(
    call_center: CallCenter, line: None, code: str
) -> None:
    stranger = Phone(address=STRANGER, server=call_center.switch.sip, user="201")
    for phone in (stranger, call_center.phone("201")):
        async with phone:
            call = await phone.call(code)
            with pytest.raises(Refused) as refused:
                await call.answered()
            assert refused.value.status in (401, 404)
    assert (await presence_of(call_center, "201")).state is PresenceState.SIGNED_OUT


async def test_a_code_without_any_controller_is_refused_at_once(call_center: CallCenter) -> None:
    phone = Phone(address=CONSULTANTS, server=call_center.switch.sip, user="203", password=PASSWORD)
    async with phone:
        call = await phone.call("*10")
        with pytest.raises(Refused) as refused:
            await call.answered()
        assert refused.value.status == 503


async def test_hours_can_be_reported(call_center: CallCenter, line: None) -> None:
    async with telephone(call_center, "204") as phone:
        await sign_in(call_center, phone, "204")
        began = (await presence_of(call_center, "204")).since
        await dial(call_center, phone, "*12", "duty_paused")
        ended = (await presence_of(call_center, "204")).since
        await stored(call_center, "204")
    async with unit_of_work(call_center.engine) as connection:
        (last,) = [
            each
            for extension, each in (await state_history.last_changes(connection)).items()
            if extension == "204"
        ]
        from_, to = (last.at.fromtimestamp(at, last.at.tzinfo) for at in (began, ended))
        times = await state_history.time_in_states(connection, "204", from_, to)
    assert set(times) == {(PresenceState.READY, None)}


async def _talks(call_center: CallCenter, phone: Phone) -> None:
    await call_center.talk_shortly(await phone.next_call(20))
