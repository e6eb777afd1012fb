"""The real Asterisk with our rendered configuration, on ports of its own, for any test.

    async with Switch(with_free_ports(settings), [account("1001", PASSWORD)]) as switch:
        async with Phone(server=switch.sip) as caller: ...

Leaving it without an error proves that no channel, bridge or open recording is left.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import aiohttp

from callcenter.consultants.accounts import digest_of
from callcenter.launcher.port_check import UNIFIED_CENTER, with_free_ports
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import asterisk_command, cli_command
from callcenter.telephony.asterisk.config.renderer import (
    SipAccount,
    make_switch_secrets,
    render,
    write,
)
from tests.polling import NotInTime, until

__all__ = ["UNIFIED_CENTER", "Switch", "account", "with_free_ports"]

OPERATOR = "127.0.0.2"  #: the address from which the default settings expect the operator's trunk
CONSULTANTS = "127.0.0.4"
STRANGER = "127.0.0.66"
PASSWORD = "a-password-of-tests"

_START_LIMIT = 30.0
_LEFT_LIMIT = 30.0


def account(extension: str, password: str) -> SipAccount:
    """A consultant's SIP account."""
    return SipAccount(extension, digest_of(extension, password))


class Switch:
    """One Asterisk; `start`, `stop` and `kill` may follow each other at will."""

    def __init__(self, settings: Settings, accounts: Sequence[SipAccount] = ()) -> None:
        self.settings = settings
        self.accounts = list(accounts)
        self.also: Mapping[str, str] = {}  #: what its environment has besides, from its next start
        self.let_in: set[str] = set()  #: addresses from which AMI may be used besides this machine
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Switch":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is None and self.is_running:
                await self.assert_no_resources_left()
        finally:
            await self.kill()

    @property
    def sip(self) -> tuple[str, int]:
        """The SIP address for telephones."""
        return str(self.settings.sip_address), self.settings.sip_port

    def sip_for(self, telephone: str) -> tuple[str, int]:
        """The SIP address for a telephone at this address: that of its own family."""
        own = self.settings.sip_address_v6 if ":" in telephone else self.settings.sip_address
        return str(own), self.settings.sip_port

    @property
    def unified_center_port(self) -> int:
        """The port at UNIFIED_CENTER to which calls to 1414 go."""
        return int(self.settings.unified_center_uri.rpartition(":")[2])

    @property
    def network_port(self) -> int:
        """The port at OPERATOR to which the calls that we make go."""
        return int(self.settings.network_uri.rpartition(":")[2])

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "Asterisk was not started"
        return self._process.pid

    async def start(self) -> None:
        """Renders the configuration and starts; returns when Asterisk is fully booted."""
        assert not self.is_running, "Asterisk runs already"
        make_switch_secrets(self.settings)
        await asyncio.to_thread(lambda: write(self.settings, render(self.settings, self.accounts)))
        self._permit()
        with (self.settings.var / "asterisk.out").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *asterisk_command(self.settings),
                stdout=output,
                stderr=output,
                env={**os.environ, **self.also},
            )
        try:
            await until(self._is_booted, "Asterisk has booted", _START_LIMIT)
        except BaseException:
            await self.kill()
            raise

    async def permit(self, address: str) -> None:
        """Have AMI take connections from there too, also when it is started anew."""
        self.let_in.add(address)
        self._permit()
        await self.cli("manager reload")

    def _permit(self) -> None:
        rendered = self.settings.asterisk_folder / "etc" / "manager.conf"
        first, permit, rest = rendered.read_text().partition("permit = 127.0.0.1/255.255.255.255")
        lines = [f"\npermit = {each}/255.255.255.255" for each in self.let_in if each not in rest]
        rendered.write_text(f"{first}{permit}{''.join(lines)}{rest}")

    async def _is_booted(self) -> bool:
        assert self.is_running, f"Asterisk has ended: {self.output()[-2000:]}"
        status, _ = await self._ask("core waitfullybooted")
        return status == 0

    async def stop(self) -> None:
        """Stops it at once but in order, as `callcenter up` does: calls are ended."""
        if self._process is not None and self.is_running:
            await self._ask("core stop now")
            async with asyncio.timeout(_START_LIMIT):
                await self._process.wait()

    async def kill(self) -> None:
        """Stops it as a power cut would."""
        if self._process is not None and self.is_running:
            self._process.kill()
            await self._process.wait()

    async def cli(self, command: str) -> str:
        """Run a CLI command; return its output."""
        status, answer = await self._ask(command)
        assert status == 0, f"Asterisk refused {command!r}: {answer}"
        return answer

    async def applications(self) -> dict[str, list[str]]:
        """The Stasis applications, and the ids of the channels that are named with each."""
        secret = read_secret(self.settings.secrets_folder, "ari")
        headers = {"Authorization": aiohttp.encode_basic_auth("callcenter", secret)}
        url = f"http://127.0.0.1:{self.settings.ari_port}/ari/applications"
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            return {each["name"]: each["channel_ids"] for each in await answer.json()}

    async def channels(self) -> list[str]:
        """The names of the channels that exist now."""
        lines = (await self.cli("core show channels concise")).splitlines()
        return [line.split("!")[0] for line in lines if "!" in line]

    async def bridges(self) -> list[str]:
        """The ids of the bridges that exist now."""
        lines = (await self.cli("bridge show all")).splitlines()
        return [line.split()[0] for line in lines[1:] if line.strip()]

    def open_recordings(self) -> list[str]:
        """The files in the folder of recordings that Asterisk holds open."""
        spool = str(self.settings.spool.absolute())
        folder = Path(f"/proc/{self.pid}/fd")
        targets = []
        for each in folder.iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                targets.append(os.readlink(each))
        return [target for target in targets if target.startswith(spool)]

    async def assert_no_resources_left(self) -> None:
        """Returns when no channel, bridge and open recording is left; fails after half a minute."""

        async def left() -> list[str]:
            return [*await self.channels(), *await self.bridges(), *self.open_recordings()]

        async def nothing() -> bool:
            return not await left()

        try:
            await until(nothing, "nothing is left in Asterisk", _LEFT_LIMIT)
        except NotInTime as exc:
            raise AssertionError(f"left in Asterisk: {', '.join(await left())}") from exc

    def log(self, name: str = "messages.log") -> str:
        """A log of Asterisk; `security.log` has what it refused."""
        return (self.settings.asterisk_folder / "log" / name).read_text(errors="replace")

    def output(self) -> str:
        """All output of Asterisk since it was first started."""
        return (self.settings.var / "asterisk.out").read_text(errors="replace")

    async def _ask(self, command: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *cli_command(self.settings, command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        answer, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, answer.decode(errors="replace")
