"""Who is shut out while Redis or Asterisk is away has lost telephone and offers when it is back."""

import os
import signal

import pytest

from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.config.renderer import accounts_folder
from tests.calls.call_center import CallCenter, running_controller
from tests.calls.disposable_stack import answered_call
from tests.calls.people import add_person
from tests.calls.processes import OwnRedis
from tests.calls.test_faults_of_servers import cut_ami
from tests.calls.test_shut_out import loses_all, may_register, set_active
from tests.polling import until
from tests.streams import stream_server

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def shut_out_201(call_center: CallCenter) -> None:
    """Returns once the accounts lack 201; whether Asterisk has read them is another matter."""
    accounts = accounts_folder(call_center.settings) / "pjsip.conf"
    assert "[201]" in accounts.read_text()
    await set_active(call_center, "person-201", active=False)
    await until(lambda: "[201]" not in accounts.read_text(), "the accounts lack 201")


async def let_in(call_center: CallCenter, phone: Phone) -> None:
    await set_active(call_center, "person-201", active=True)
    await until(lambda: may_register(phone), "who is let in again registers")


async def test_who_is_shut_out_while_redis_hangs_is_offered_nobody(
    call_center: CallCenter, redis_server: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    await add_person(call_center, "201")
    async with (
        running_controller(call_center.settings, "line-1"),
        call_center.consultant("201") as gone,
        call_center.consultant("204") as stays,
    ):
        redis_server.pause()
        try:
            # What is sent at first comes when it goes on.
            await until(lambda: caplog.text.count("distributor unavailable") > 1, "it hangs")
            await shut_out_201(call_center)
            await until(lambda: "presence sync failed" in caplog.text, "it is not told")
        finally:
            redis_server.go_on()
        await loses_all(call_center, gone, "201")
        async with call_center.caller("+77020000140") as caller:
            await call_center.talk_shortly(await answered_call(caller, stays))
            await caller.ended()
        assert gone.calls == []
        await let_in(call_center, gone)


async def test_who_is_shut_out_is_refused_when_ami_returns(call_center: CallCenter) -> None:
    await add_person(call_center, "201")
    async with (
        cut_ami(call_center) as (relay, cut, settings),
        running_controller(settings, "line-1"),
        call_center.softphone("201") as phone,
    ):
        await phone.register()
        cut()
        await shut_out_201(call_center)
        assert await may_register(phone)
        async with stream_server(relay.carry, settings.ami_port):
            await loses_all(call_center, phone, "201")
            await let_in(call_center, phone)


async def test_a_frozen_asterisk_refuses_who_was_shut_out_meanwhile(
    call_center: CallCenter,
) -> None:
    await add_person(call_center, "201")
    async with (
        running_controller(call_center.settings, "line-1") as controller,
        call_center.consultant("201") as phone,
    ):
        os.kill(call_center.switch.pid, signal.SIGSTOP)
        try:
            await shut_out_201(call_center)
            await until(lambda: not controller.ami.connected.is_set(), "nobody answers by AMI")
        finally:
            os.kill(call_center.switch.pid, signal.SIGCONT)
        await loses_all(call_center, phone, "201")
        await let_in(call_center, phone)


async def test_a_new_controller_has_missed_accounts_read(call_center: CallCenter) -> None:
    await add_person(call_center, "201")
    async with call_center.softphone("201") as phone:
        await phone.register()
        async with (
            cut_ami(call_center) as (_, cut, settings),
            running_controller(settings, "line-1"),
        ):
            cut()
            await shut_out_201(call_center)
        async with running_controller(call_center.settings, "line-1"):
            await loses_all(call_center, phone, "201")
            await let_in(call_center, phone)
