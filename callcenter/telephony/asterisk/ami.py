"""Client of AMI, the Asterisk Manager Interface: device states and recordings.

panoramisk frames, parses and matches; this file keeps the connection. What callers may rely on:

* `action` raises `AmiActionFailed` (Asterisk said no) or `AmiUnavailable` (it did not say: the
  outcome is unknown). An action is sent once, on the connection that is there now, and never
  again: a call that was originated before a restart must not ring anybody after it.
* Events reach their callback in the order in which Asterisk sent them, from the reading side; a
  callback must not block. Only events that have a callback are sent by Asterisk at all.
* A connection that is lost, or whose peer is silent for `PING_INTERVAL` + `ANSWER_TIMEOUT` seconds,
  is made again for as long as the context lasts. After each connection the handler of
  `on_connected` is awaited, to compare with what is there now: what was missed is not sent later.

panoramisk's own Manager is not used: it replays unanswered actions after a reconnect, cannot
cancel its reconnect timer, and retries a refused password every two seconds for ever. Its
protocol, actions and messages are (docs/decisions/0006).
"""

import asyncio
import logging
import random
import re
import time
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from callcenter.platform.core.beats import next_beat
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest, OperationFailed
from callcenter.platform.core.late_answers import answer_within
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.resource_ids import ASTERISK_USER

log = logging.getLogger(__name__)

Fields = Mapping[str, str]

PING_INTERVAL, ANSWER_TIMEOUT = 2.0, 2.0  # seconds between pings, and for the answer to one
FIRST_DELAY, LAST_DELAY, PASSWORD_DELAY = 0.2, 0.5, 10.0  # seconds between attempts to connect
HOST = "127.0.0.1"
LINE_LIMIT = 64 * 1024  # bytes; Asterisk's own lines are a few hundred

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*")

# panoramisk logs whole messages: callers' numbers and names, and the password of the login.
_silent = logging.getLogger(f"{__name__}.panoramisk")
_silent.disabled = True


class AmiActionFailed(OperationFailed):
    """Asterisk refused the action."""


class AmiUnavailable(OperationFailed):
    """Asterisk did not answer on AMI; whether it did what was requested is unknown."""


@dataclass(frozen=True)
class Answer:
    """An answer of Asterisk: the response, and the items of a list action.

    A header that came several times is joined with newlines.
    """

    fields: Fields
    items: tuple[Fields, ...]

    @property
    def output(self) -> str:
        """The output of a CLI command (`Action: Command`), without the last newline."""
        return self.fields.get("Output", "")


class Ami:
    """One user's connection to one Asterisk, kept up for as long as the context lasts.

    Register for its events (`on_*`) before.
    """

    def __init__(self, *, port: int, secret: str) -> None:
        self.connected = asyncio.Event()
        self._port = port
        self._where = f"{HOST}:{port}"
        credentials = {"Username": ASTERISK_USER, "Secret": secret}
        self._login = {"Action": "Login", **credentials, "Events": "on"}
        self._events: dict[str, Callable[[Fields], None]] = {}
        self._connected_handler: Callable[[], Awaitable[None]] | None = None
        self._link: AmiConnection | None = None
        self._fault = "not tried yet"
        self._delay = FIRST_DELAY
        self._task: asyncio.Task[None] | None = None

    def on_event(self, name: str, handler: Callable[[Fields], None]) -> None:
        """Register for events of this name, as in `DeviceStateChange`; it must not block."""
        self._events[name] = handler

    def on_connected(self, handler: Callable[[], Awaitable[None]]) -> None:
        """Register for each connection, to compare with what is there now."""
        self._connected_handler = handler

    async def __aenter__(self) -> Self:
        """Start connecting; does not wait for the connection (see `ready`)."""
        self._task = asyncio.create_task(self._keep_connected(), name="ami")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ready(self, timeout: float) -> None:
        """Wait for a connection to a fully booted Asterisk, `timeout` seconds at most.

        Raises DependencyUnavailable that says why there is none: refused password, nobody
        listening, booting."""
        try:
            async with asyncio.timeout(timeout):
                await self.connected.wait()
        except TimeoutError:
            raise DependencyUnavailable(
                f"no AMI connection to {self._where}: {self._fault}"
            ) from None

    async def action(self, fields: Fields, *, timeout: float = 5.0) -> Answer:
        """Have Asterisk carry out one action, as in `{"Action": "CoreStatus"}`.

        `timeout` in seconds is for the whole answer, lists included. Asterisk carries out one
        action of a connection at a time: one that blocks it for longer than `ANSWER_TIMEOUT`
        (Originate without Async) costs the connection. Cancelling forgets the answer, not the
        action. Raises InvalidRequest for a control character in a key or value (it could start an
        action of its own), AmiActionFailed, or AmiUnavailable.
        """
        _check(fields)
        link = self._link
        if link is None or not self.connected.is_set():
            raise AmiUnavailable(
                f"{fields['Action']}: not connected to AMI at {self._where}: {self._fault}"
            )
        return await link.ask(fields, timeout)

    async def device_states(self) -> dict[str, str]:
        """Return the state by device, as in `{"PJSIP/201": "NOT_INUSE"}`.

        Events DeviceStateChange follow.

        Raises AmiActionFailed or AmiUnavailable.
        """
        answer = await self.action({"Action": "DeviceStateList"})
        return {item["Device"]: item["State"] for item in answer.items}

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._session()
                fault = "the connection was lost"
            except AmiActionFailed as exc:
                fault = f"Asterisk refuses our user or password ({exc})"
                self._delay = PASSWORD_DELAY
            except (OSError, TimeoutError, AmiUnavailable) as exc:
                fault = str(exc) or "no answer"
            except Exception:
                # Whatever it was, an Asterisk that nobody watches is worse than one more attempt.
                log.exception("AMI connection failed: %s: our fault; connecting again", self._where)
                fault = "an error of ours, see the log"
            if fault != self._fault:  # said once, not at every attempt
                log.warning("AMI connection failed: %s: %s; connecting again", self._where, fault)
            self._fault = fault
            await asyncio.sleep(self._delay * random.uniform(0.7, 1.3))  # noqa: S311 no secret
            self._delay = min(self._delay * 2, LAST_DELAY)

    async def _session(self) -> None:
        """One connection, from TCP to its end. Raises what ended it."""
        async with asyncio.timeout(ANSWER_TIMEOUT):
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: AmiConnection(self._events, self.connected.clear), HOST, self._port
            )
        greeting = None
        try:
            await link.ask(self._login, ANSWER_TIMEOUT)
            self._fault = "Asterisk is still booting"
            greeting = asyncio.create_task(self._greet(link), name="ami greeting")
            await link.watch()
        finally:
            if greeting is not None:
                greeting.cancel()
                await asyncio.gather(greeting, return_exceptions=True)
            link.close()
            await link.closed_for_good
            self._link = None

    async def _greet(self, link: "AmiConnection") -> None:
        """Once Asterisk is fully booted, ask for our events and compare with what is there."""
        try:
            await link.booted.wait()
            for name in self._events or ("FullyBooted",):
                criteria = f"action(include),name({name})"
                await link.ask(
                    {"Action": "Filter", "Operation": "Add", "MatchCriteria": criteria},
                    ANSWER_TIMEOUT,
                )
            self._link = link
            self.connected.set()
            if self._connected_handler is not None:
                await self._connected_handler()
            self._delay = FIRST_DELAY
        except OperationFailed as exc:
            log.warning("AMI start failed: %s: %s", self._where, exc)
            link.close()
        except Exception:
            log.exception("AMI start failed: %s: our fault", self._where)
            link.close()


async def ask_once(settings: Settings, action: str, connect_timeout: float) -> Answer:
    """Have Asterisk carry out one action by a connection of its own, made in so many seconds.

    Raises SecretMissing, DependencyUnavailable, AmiActionFailed or AmiUnavailable.
    """
    secret = read_secret(settings.secrets_folder, "ami")
    async with Ami(port=settings.ami_port, secret=secret) as ami:
        await ami.ready(connect_timeout)
        return await ami.action({"Action": action})


class AmiConnection(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """One TCP connection: panoramisk's protocol without what it gets wrong.

    `on_closed` is called at the moment of the loss, before anybody who waits can go on.
    """

    def __init__(
        self, events: Mapping[str, Callable[[Fields], None]], on_closed: Callable[[], None]
    ) -> None:
        self._events = events
        self._on_closed = on_closed
        self._rest = b""
        self.booted = asyncio.Event()
        self.closed_for_good: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.factory = self  # panoramisk gives events to its factory
        self.encoding = "utf-8"
        self.log = _silent

    async def ask(self, fields: Fields, timeout: float) -> Answer:
        pending = _PendingAction(fields)
        what = fields["Action"]
        if self.closed:
            raise AmiUnavailable(f"{what}: the AMI connection was lost")
        self.send(pending)
        try:
            async with answer_within(timeout):
                messages = await pending.future
        except TimeoutError:
            raise AmiUnavailable(f"{what}: no answer on AMI in {timeout:g} s") from None
        answer = Answer(_fields(messages[0]), tuple(map(_fields, messages[1:-1])))
        if not messages[0].success:
            reason = answer.output or answer.fields.get("Message", "no reason given")
            raise AmiActionFailed(f"{what}: {reason}")
        return answer

    async def watch(self) -> None:
        """Ping until the connection is lost; raises AmiUnavailable when the peer falls silent."""
        while not self.closed:
            await self.ask({"Action": "Ping"}, ANSWER_TIMEOUT)
            pause = next_beat(PING_INTERVAL) - time.monotonic()
            await asyncio.wait({self.closed_for_good}, timeout=pause)

    def data_received(self, data: bytes) -> None:
        # panoramisk decodes every segment by itself, which loses a character that is cut in two:
        # it is given whole lines.
        whole, end, self._rest = (self._rest + data).rpartition(b"\r\n")
        if len(self._rest) > LINE_LIMIT:
            self.close()
        elif end:
            super().data_received(whole + end)

    def dispatch(self, message: Message) -> None:
        name = message["Event"]
        if name == "FullyBooted":
            self.booted.set()
        callback = self._events.get(name)
        if callback is None:
            return
        try:
            callback(_fields(message))
        except Exception:
            log.exception("AMI event not handled: %s: our fault", name)

    def connection_lost(self, exc: object) -> None:
        self.close()
        # panoramisk calls this for Asterisk's event Shutdown too, with the connection still there.
        if not isinstance(exc, Message):
            self.closed_for_good.set_result(None)

    def close(self) -> None:
        """Forget what is unanswered, so that nothing is ever sent twice, and close at once."""
        self.closed = True
        self._on_closed()
        while self.responses:
            _, action = self.responses.popitem()
            if not action.future.done():
                lost = AmiUnavailable(f"{action.action}: the AMI connection was lost")
                action.future.set_exception(lost)
        self.transport.abort()


class _PendingAction(Action):  # type: ignore[misc]  # panoramisk has no types
    """An action on its way. An answer of several messages says so itself, in EventList.

    panoramisk guesses from the words of the message instead, which raises KeyError for Originate
    and PlayDTMF and drops the connection.
    """

    def add_message(self, message: Message) -> bool:
        """True when the answer is complete."""
        self.responses.append(message)
        if self.responses[0].eventlist.lower() == "start" and message.eventlist.lower() not in (
            "complete",
            "cancelled",
        ):
            return False
        if not self.future.done():
            self.future.set_result(self.responses)
        return True


def _fields(message: Message) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else "\n".join(value)
        for key, value in message.items()
        if key != "content"  # panoramisk's own
    }


def _check(fields: Fields) -> None:
    if "Action" not in fields:
        raise InvalidRequest("an AMI action needs the key Action")
    for key, value in fields.items():
        if not _KEY.fullmatch(key) or key.lower() == "actionid":
            raise InvalidRequest(f"an AMI action has no key {key!r}")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
            # The value itself may be somebody's name or number.
            raise InvalidRequest(f"AMI key {key}: control characters are not allowed in its value")
