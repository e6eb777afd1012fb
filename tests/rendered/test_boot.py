"""The rendered configuration as the real Asterisk takes it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio

from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.audio import encode, tone
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.config.renderer import AMI_EVENTS, render
from tests.asterisk.switch import CONSULTANTS, PASSWORD, Switch, account, with_free_ports
from tests.services import new_folder
from tests.streams import open_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def switch(short_folder: Path) -> AsyncIterator[Switch]:
    settings = with_free_ports(Settings(_env_file=None, var=new_folder(short_folder / "boot")))
    (settings.prompts / "moh").mkdir(parents=True)
    (settings.prompts / "moh" / "tone.alaw").write_bytes(encode(tone(300, 1), "PCMA"))
    async with Switch(settings, [account("1001", PASSWORD)]) as running:
        yield running


async def test_it_starts_without_a_warning_or_an_error(switch: Switch) -> None:
    log = switch.log()
    assert "modules will be loaded" in log
    assert [line for line in log.splitlines() if re.search(r"\] (WARNING|ERROR)\[", line)] == []


async def test_every_module_of_the_list_runs(switch: Switch) -> None:
    text = render(switch.settings, switch.accounts)["modules.conf"]
    loaded = set(re.findall(r"^load = (\S+)$", text, re.MULTILINE))
    running = re.findall(r"^(\S+\.so) .* Running ", await switch.cli("module show"), re.MULTILINE)
    assert loaded == set(running)


async def test_it_listens_where_the_settings_say_and_nowhere_else(switch: Switch) -> None:
    sockets = psutil.Process(switch.pid).net_connections("inet")
    tcp = {tuple(each.laddr) for each in sockets if each.status == psutil.CONN_LISTEN}
    udp = {tuple(each.laddr) for each in sockets if each.type.name == "SOCK_DGRAM"}
    settings = switch.settings
    assert tcp == {("127.0.0.1", settings.ari_port), ("127.0.0.1", settings.ami_port)}
    # The others are the sockets by which PJSIP asks name servers and HEP sends; they answer nobody.
    assert ("127.0.0.1", settings.sip_port) in udp
    assert {address for address, _ in udp - {("127.0.0.1", settings.sip_port)}} <= {"0.0.0.0", "::"}  # noqa: S104
    assert len(udp) <= 4


async def test_ari_answers_to_its_password_alone(switch: Switch) -> None:
    settings = switch.settings
    url = f"http://127.0.0.1:{settings.ari_port}/ari/asterisk/info"
    secret = read_secret(settings.secrets_folder, "ari")
    async with aiohttp.ClientSession() as session:
        for password, status in ((secret, 200), ("wrong", 401)):
            headers = {"Authorization": aiohttp.encode_basic_auth("callcenter", password)}
            async with session.get(url, headers=headers) as answer:
                assert answer.status == status
                assert "22." not in answer.headers["Server"]


@asynccontextmanager
async def manager(settings: Settings, secret: str):  # type: ignore[no-untyped-def]
    """A session with AMI; yields a function that sends an action and returns all events."""
    opening = asyncio.open_connection("127.0.0.1", settings.ami_port)
    async with open_stream(opening) as (reader, writer):

        async def ask(action: str, **fields: str) -> str:
            lines = [f"Action: {action}", "ActionID: 1", *(f"{k}: {v}" for k, v in fields.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            text = ""
            async with asyncio.timeout(10):
                while "Response: " not in text:
                    text += (await reader.readuntil(b"\r\n\r\n")).decode()
            return text

        await reader.readline()
        yield ask, await ask("Login", Username="callcenter", Secret=secret), reader


async def test_the_manager_account_may_do_what_we_need_only(switch: Switch) -> None:
    secret = read_secret(switch.settings.secrets_folder, "ami")
    async with manager(switch.settings, secret) as (ask, welcome, _):
        assert "Response: Success" in welcome
        for action in ("Ping", "DeviceStateList", "PJSIPShowContacts"):
            assert "Permission denied" not in await ask(action)
        for action in ("MixMonitor", "StopMixMonitor"):
            assert "No such channel" in await ask(action, Channel="PJSIP/none", File="/dev/null")
        for action in ("Originate", "Redirect", "Bridge", "Setvar", "Command", "UpdateConfig"):
            assert "Permission denied" in await ask(action)


async def test_the_manager_refuses_a_wrong_password(switch: Switch) -> None:
    async with manager(switch.settings, "wrong") as (_, welcome, _):
        assert "Authentication failed" in welcome


async def test_only_the_events_that_somebody_waits_for_come(switch: Switch) -> None:
    secret = read_secret(switch.settings.secrets_folder, "ami")
    phone = Phone(server=switch.sip, address=CONSULTANTS, user="1001", password=PASSWORD)
    seen: list[str] = []
    async with manager(switch.settings, secret) as (ask, _, reader), phone:
        await phone.register()
        async with asyncio.timeout(10):
            while "DeviceStateChange" not in seen:
                text = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert "FullyBooted" in text or "Timestamp: " in text
                seen += re.findall(r"^Event: (\w+)", text, re.MULTILINE)
        seen += re.findall(r"^Event: (\w+)", await ask("Ping"), re.MULTILINE)
    assert set(seen) <= set(AMI_EVENTS)
