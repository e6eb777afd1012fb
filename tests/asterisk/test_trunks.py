"""Several operators, known by address or by registration, and the numbers that they call."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis

from callcenter.commands import check
from callcenter.launcher.port_check import free_port
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.secrets import SecretMissing, read_secret, write_once
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.storage.redis import open_redis
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk import trunks
from callcenter.telephony.asterisk.config.renderer import make_switch_secrets, render
from callcenter.telephony.asterisk.trunks import read_reachability, read_registrations
from callcenter.telephony.controller import trunk_monitor
from callcenter.telephony.controller.alerts import TRUNK_UNREGISTERED
from callcenter.telephony.controller.trunk_monitor import check_trunks
from tests.asterisk.registrar import ADDRESS, Registrar, registrar
from tests.asterisk.switch import OPERATOR, PASSWORD, Switch, account, with_free_ports
from tests.polling import LIMIT, NotInTime, until
from tests.services import new_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANOTHER_OPERATOR = "127.0.0.5"
USER = "7172111"
OPERATORS_PASSWORD = 'of the operator;"$'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def switch(short_folder: Path) -> AsyncIterator[Switch]:
    port = free_port(socket.SOCK_DGRAM, ADDRESS)
    settings = with_free_ports(
        Settings(_env_file=None, var=new_folder(short_folder / "trunks")),
        claim_timeout=0.1,
        operators={
            "kcell": {"networks": [f"{ANOTHER_OPERATOR}/32"]},
            "beeline": {
                "registrar": f"sip:{ADDRESS}:{port}",
                "user": USER,
                "options_uri": f"sip:{ADDRESS}:{port}",
            },
        },
        called_numbers=("111", "7111", "+7XXXXXXX111"),
        network_uri=f"sip:{{number}}@{ADDRESS}:{port}",
    )
    write_once(settings.secrets_folder / "operator_beeline", f"{OPERATORS_PASSWORD}\n")
    async with Switch(settings, [account("1001", PASSWORD)]) as running:
        await until_operator_answers(running, answers=False)  # or its first request fails later
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def operator(switch: Switch) -> AsyncIterator[Registrar]:
    async with registrar(switch.network_port, USER, OPERATORS_PASSWORD) as running:
        await registered(switch, running)
        await until_operator_answers(switch, answers=True)
        yield running


@pytest.fixture(autouse=True)
def patient_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a busy machine does not reach, as the monitor says nothing past them."""
    monkeypatch.setattr(trunk_monitor, "REDIS_TIMEOUT", LIMIT)
    monkeypatch.setattr(trunks, "CONNECT_TIMEOUT", LIMIT)


@pytest_asyncio.fixture(loop_scope="module")
async def redis(redis_url: str, switch: Switch) -> AsyncIterator[Redis]:
    """A Redis that is empty when the test begins, in the loop of this module."""
    settings = switch.settings.model_copy(update={"redis_url": SecretStr(redis_url)})
    async with open_redis(settings) as client:
        await client.flushdb()
        yield client


async def registered(switch: Switch, operator: Registrar) -> None:
    """Wait until the trunk is registered, asked again while an old request is under way."""
    for _ in range(4):
        await switch.cli("pjsip send register operator-beeline")
        with suppress(NotInTime):
            return await until(lambda: operator.contact, "the trunk has registered")
    raise NotInTime("the trunk has not registered")


async def until_operator_answers(switch: Switch, *, answers: bool) -> None:
    """Return once Asterisk says so, which asks the operator anew."""

    async def is_said() -> bool:
        with suppress(OperationFailed):  # it may be late, too
            return await read_reachability(switch.settings) == {"beeline": answers}
        return False

    for _ in range(4):
        await switch.cli("pjsip qualify operator-beeline")  # one at a time: late answers count, too
        with suppress(NotInTime):
            return await until(is_said, "Asterisk knows whether the operator answers", LIMIT / 4)
    raise NotInTime("Asterisk does not know whether the operator answers")


async def answered_by(switch: Switch, phone: Phone, number: str, uri: str | None = None) -> str:
    """The endpoint at which a call came in that was answered."""
    call = await phone.call(number, uri=uri)
    await call.answered()
    (channel,) = await switch.channels()
    await call.hang_up()
    await switch.assert_no_resources_left()
    return channel.rpartition("-")[0]


@pytest.mark.parametrize("number", ["111", "7111", "+77172580111"])
async def test_each_called_number_reaches_the_line(number: str, switch: Switch) -> None:
    async with Phone(server=switch.sip, address=OPERATOR) as phone:
        assert await answered_by(switch, phone, number) == "PJSIP/operator"


@pytest.mark.parametrize("number", ["7112", "+7717258111", "1001"])
async def test_other_called_numbers_are_refused(number: str, switch: Switch) -> None:
    async with Phone(server=switch.sip, address=OPERATOR) as phone:
        with pytest.raises(Refused, match="404"):
            await (await phone.call(number)).answered()


async def test_a_second_operator_is_recognized_by_its_address(switch: Switch) -> None:
    async with Phone(server=switch.sip, address=ANOTHER_OPERATOR, user="1001") as phone:
        assert await answered_by(switch, phone, "111") == "PJSIP/operator-kcell"


async def test_an_operator_is_recognized_by_our_registration(
    switch: Switch, operator: Registrar
) -> None:
    async with Phone(server=switch.sip, address=ADDRESS, user="1001") as phone:
        endpoint = await answered_by(switch, phone, "7172111", uri=operator.contact)
        assert endpoint == "PJSIP/operator-beeline"
        with pytest.raises(Refused, match="401"):
            await (await phone.call("111")).answered()


async def until_asterisk_says(switch: Switch, *, registered: bool) -> None:
    """Return once it says so of the trunk."""

    async def is_said() -> bool:
        with suppress(OperationFailed):  # it may be late, too
            return await read_registrations(switch.settings) == {"beeline": registered}
        return False

    await until(is_said, "Asterisk knows of the registration")


@pytest.mark.usefixtures("operator")
async def test_check_tells_of_a_registration_that_is_gone(switch: Switch) -> None:
    look = check.CHECKS["telephone"]["trunks"]
    await until_asterisk_says(switch, registered=True)
    message = await asyncio.to_thread(look, switch.settings)
    assert message == "2 networks of operators, registered with 1"
    await switch.cli("pjsip send unregister operator-beeline")
    await until_asterisk_says(switch, registered=False)
    with pytest.raises(OperationFailed, match="not registered with beeline"):
        await asyncio.to_thread(look, switch.settings)


async def test_a_trunk_alerts_until_it_is_registered_again(
    switch: Switch, operator: Registrar, redis: Redis
) -> None:
    await until_asterisk_says(switch, registered=True)
    assert await check_trunks(switch.settings, redis, frozenset()) == frozenset()
    await switch.cli("pjsip send unregister operator-beeline")
    await until_asterisk_says(switch, registered=False)
    missing = await check_trunks(switch.settings, redis, frozenset())
    assert await redis.hkeys(OPEN) == []
    for _ in range(2):
        missing = await check_trunks(switch.settings, redis, missing)
        assert await redis.hkeys(OPEN) == ["trunk_unregistered:beeline"]
    assert await redis.hgetall("desk:alarm_counts") == {TRUNK_UNREGISTERED.key: "1"}
    await registered(switch, operator)
    await until_asterisk_says(switch, registered=True)
    assert await check_trunks(switch.settings, redis, missing) == frozenset()
    assert await redis.hkeys(OPEN) == []


async def test_an_operator_alerts_until_it_answers_again(switch: Switch, redis: Redis) -> None:
    async with registrar(switch.network_port, USER, OPERATORS_PASSWORD) as running:
        await registered(switch, running)
        await until_operator_answers(switch, answers=True)
    await until_operator_answers(switch, answers=False)
    missing = await check_trunks(switch.settings, redis, frozenset())
    assert missing == {"trunk_unreachable:beeline"}
    assert await redis.hkeys(OPEN) == []
    assert await check_trunks(switch.settings, redis, missing) == missing
    assert await redis.hkeys(OPEN) == ["trunk_unreachable:beeline"]
    with pytest.raises(OperationFailed, match="beeline does not answer OPTIONS"):
        await asyncio.to_thread(check.CHECKS["telephone"]["trunks"], switch.settings)

    async def is_well() -> bool:
        return await check_trunks(switch.settings, redis, missing) == frozenset()

    async with registrar(switch.network_port, USER, OPERATORS_PASSWORD):
        await until_operator_answers(switch, answers=True)
        await until(is_well, "no request to the operator is left from before")
    assert await redis.hkeys(OPEN) == []


async def test_calls_to_the_registrar_are_signed_by_its_account(
    switch: Switch, operator: Registrar
) -> None:
    settings = switch.settings
    uri = settings.network_uri.format(number="102")
    secret = read_secret(settings.secrets_folder, "ari")
    headers = {"Authorization": aiohttp.encode_basic_auth("callcenter", secret)}
    query = {"endpoint": f"PJSIP/network/{uri}", "extension": "111", "context": "from-operator"}
    url = f"http://127.0.0.1:{settings.ari_port}/ari/channels"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, params=query) as answer,
    ):
        assert answer.status == 200
    await until(lambda: operator.called == [uri], "the call has come, signed")
    await switch.assert_no_resources_left()


async def test_a_missing_password_of_an_operator_is_named(settings: Settings) -> None:
    operators = {"beeline": {"registrar": "sip:sip.example.kz", "user": USER}}
    changed = with_free_ports(settings, operators=operators)
    make_switch_secrets(changed)
    with pytest.raises(SecretMissing, match="secrets/operator_beeline is missing"):
        render(changed, ())
    assert not (changed.secrets_folder / "operator_beeline").exists()
