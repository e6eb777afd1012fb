"""A thin client of ARI, the only file that speaks it: requests and events over one WebSocket.

REST over WebSocket (Asterisk 22.4 and later) costs a quarter of the client's CPU that HTTP does
and keeps requests in order; `docs/performance.md` has the figures. What callers may rely on:

* `request` raises `Gone` (no such channel, bridge or playback any more), `Refused` (the switch
  said no) or `Unreachable` (it did not say: the outcome is unknown, so nothing is ever retried).
* Events reach `on_event` in the order in which Asterisk sent them, from the reading task; it must
  not block. Choose ids yourself and register interest before you ask: an event may come before
  the answer to the request that caused it.
* With a lease nothing is asked, and no event is told, while it is doubtful whose the calls are;
  `request` raises Fenced once they are another's. Events of users (`ChannelUserevent`) are told
  at once.
* An event that Asterisk tells twice is told once.
* A connection that is lost, half open or refused while Asterisk boots is made again for as long
  as `run` runs; after each connection `on_connected` is awaited, to compare with what is there now.
"""

import asyncio
import itertools
import json
import logging
import random
import socket as sockets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp

from callcenter.asterisk.lease import Hold, Lease
from callcenter.errors import NotReady, WeFailed

log = logging.getLogger(__name__)

Event = dict[str, Any]

#: Of about 61 events of a call these are the ones that we never look at.
UNWANTED = (
    "ApplicationRegistered",
    "ApplicationUnregistered",
    "BridgeCreated",
    "BridgeDestroyed",
    "ChannelCallerId",
    "ChannelConnectedLine",
    "ChannelCreated",
    "ChannelDialplan",
    "ChannelEnteredBridge",
    "ChannelLeftBridge",
    "ChannelStateChange",
    "ChannelVarset",
    "ContactStatusChange",
    "DeviceStateChanged",
    "Dial",
    "EndpointStateChange",
    "PeerStatusChange",
    "PlaybackContinuing",
    "PlaybackStarted",
)
HEARTBEAT = 2.0  # seconds between pings; a silent peer is given up after one and a half of it
CONNECT = 5.0  # seconds for a connection: one that began in a cut network is tried anew after it
GOODBYE = 0.5  # seconds for Asterisk to close its side of one that is as good as lost
REMEMBERED = 4096  # events by which one that is told twice is known
FIRST_DELAY, LAST_DELAY, PASSWORD_DELAY = 0.1, 3.0, 10.0  # seconds between attempts to connect
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: what was not sent when we close is never sent


class Gone(WeFailed):
    """The channel, bridge or playback does not exist any more."""


class Refused(WeFailed):
    """Asterisk refused the request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(WeFailed):
    """Asterisk did not answer; whether it did what was asked is unknown."""


class Ari:
    """One Stasis application's connection to one Asterisk."""

    def __init__(
        self,
        *,
        port: int,
        user: str,
        password: str,
        application: str,
        on_event: Callable[[Event], None],
        on_connected: Callable[[], Awaitable[None]],
        lease: Lease | None = None,
    ) -> None:
        self.application = application
        self.connected = asyncio.Event()
        self._url = f"ws://127.0.0.1:{port}/ari/events?app={application}&subscribeAll=false"
        self._headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
        self._on_event = on_event
        self._on_connected = on_connected
        self._lease = lease
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._pending: dict[str, asyncio.Future[Event]] = {}
        self._ids = itertools.count(1)
        self._told: dict[int, None] = {}

    async def ready(self, timeout: float) -> None:
        """Wait for a connection, `timeout` seconds at most; raises NotReady."""
        try:
            async with asyncio.timeout(timeout):
                await self.connected.wait()
        except TimeoutError:
            raise NotReady(
                "no ARI connection to Asterisk: is it up, is its port the set one?"
            ) from None

    async def run(self) -> None:
        """Keep connected until cancelled. Raises WeFailed when another process took our name."""
        delay = FIRST_DELAY
        async with aiohttp.ClientSession(headers=self._headers) as session:
            while True:
                try:
                    async with self._dialled(session) as socket:
                        delay = FIRST_DELAY
                        await self._serve(socket)
                        log.warning("the connection to Asterisk's ARI was lost; connecting again")
                except aiohttp.WSServerHandshakeError as exc:
                    if exc.status == 401:
                        log.error("Asterisk refuses ARI's password; is ari.conf rendered anew?")
                        delay = PASSWORD_DELAY
                    else:  # 404 in HTML, then 503 in JSON: it is booting
                        log.info("Asterisk is not ready for ARI yet (HTTP %d)", exc.status)
                except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                    log.info("Asterisk's ARI does not answer: %s", str(exc) or "silence")
                await asyncio.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311 no secret
                delay = min(delay * 2, LAST_DELAY) if delay < LAST_DELAY else delay

    @asynccontextmanager
    async def _dialled(
        self, session: aiohttp.ClientSession
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A connection within the block; where nobody answers it is not waited for."""
        async with asyncio.timeout(CONNECT):
            socket = await session.ws_connect(
                self._url,
                heartbeat=HEARTBEAT,
                autoping=True,
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE),
            )
        try:
            raw = socket.get_extra_info("socket")
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, AT_ONCE)
            yield socket
        finally:
            await socket.close()

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: dict[str, Any] | None = None,
        within: float = 5.0,
        unsure: bool = False,
    ) -> Any:
        """The answer's JSON (None where Asterisk sends none).

        `path` is relative to /ari, as in `channels/ID/answer`. Waits for a connection, and until
        it is sure that the calls are ours, up to `within` seconds, then for the answer up to as
        long again. `unsure`: to be asked whosever the calls are. Cancelling forgets the answer,
        not the request. Raises Gone, Refused, Unreachable or Fenced.
        """
        what = f"{method} {path}"
        if not self.connected.is_set():
            await self._until_connected(what, within)
        if self._lease is not None and not unsure and self._lease.hold is not Hold.SURE:
            await self._until_sure(self._lease, what, within)
        return await self._ask(what, method, path, query or {}, body, within)

    async def _until_connected(self, what: str, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self.connected.wait()
        except TimeoutError:
            raise Unreachable(f"{what}: not connected to Asterisk for {within:g} s") from None

    async def _until_sure(self, lease: Lease, what: str, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await lease.sure()
        except TimeoutError:
            raise Unreachable(f"{what}: not sure whose the calls are in {within:g} s") from None

    async def connect_again(self) -> None:
        """Close the connection, which is not as it should be; another is made at once."""
        if self._socket is not None:
            await self._socket.close()

    async def _ask(
        self,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: dict[str, Any] | None,
        within: float,
    ) -> Any:
        socket = self._socket
        if socket is None:
            raise Unreachable(f"{what}: not connected to Asterisk")
        request_id = str(next(self._ids))
        message: dict[str, Any] = {
            "type": "RESTRequest",
            "request_id": request_id,
            "method": method,
            "uri": path,
        }
        if query:
            message["query_strings"] = [{"name": k, "value": v} for k, v in query.items()]
        if body is not None:
            message["content_type"] = "application/json"
            message["message_body"] = json.dumps(body)
        answer = asyncio.get_running_loop().create_future()
        self._pending[request_id] = answer
        try:
            async with asyncio.timeout(within):
                await socket.send_str(json.dumps(message))
                return _result(what, await answer)
        except TimeoutError:
            raise Unreachable(f"{what}: no answer from Asterisk in {within:g} s") from None
        except (aiohttp.ClientError, ConnectionError) as exc:
            raise Unreachable(f"{what}: the connection to Asterisk broke") from exc
        finally:
            self._pending.pop(request_id, None)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        greeting = asyncio.create_task(self._greet())
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
                if greeting.done() and greeting.exception() is not None:
                    return
        finally:
            self.connected.clear()
            self._socket = None
            for answer in self._pending.values():
                if not answer.done():
                    answer.set_exception(Unreachable("the connection to Asterisk was lost"))
            greeting.cancel()
            await asyncio.gather(greeting, return_exceptions=True)

    async def _greet(self) -> None:
        """Put the filter back (a reconnect drops it), then compare with what is there now."""
        try:
            await self._ask(
                "setting the event filter",
                "PUT",
                f"applications/{self.application}/eventFilter",
                {},
                {"disallowed": [{"type": name} for name in UNWANTED]},
                5.0,
            )
            self.connected.set()
            await self._on_connected()
        except Exception as exc:
            is_ours = not isinstance(exc, WeFailed)
            log.error("cannot start with ARI: %s; connecting again", exc, exc_info=is_ours)
            await self.connect_again()
            raise

    def _take(self, text: str) -> None:
        try:
            event = json.loads(text)
            kind = event["type"]
        except (ValueError, KeyError, TypeError):
            log.warning("Asterisk sent something that is no event; ignored")
            return
        if kind == "RESTResponse":
            answer = self._pending.get(event.get("request_id", ""))
            if answer is not None and not answer.done():
                answer.set_result(event)
        elif kind == "ApplicationReplaced":
            raise WeFailed(
                f"another process answers calls as {self.application}; give each its own --name"
            )
        elif self._was_told(text):
            log.warning("Asterisk told an event of type %s twice; told once", kind)
        elif self._lease is None or kind == "ChannelUserevent":
            self._tell(event)
        else:
            self._lease.when_sure(partial(self._tell, event))

    def _was_told(self, text: str) -> bool:
        """Whether these very words came lately: times, ids and serials are in them."""
        words = hash(text)
        if words in self._told:
            return True
        self._told[words] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        return False

    def _tell(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("an event of type %s could not be handled", event["type"])


def _result(what: str, answer: Event) -> Any:
    status = int(answer["status_code"])
    text = answer.get("message_body") or ""
    try:
        content = json.loads(text) if text else None
    except ValueError:
        content = None
    if status < 300:
        return content
    reason = answer.get("reason_phrase", "")
    if isinstance(content, dict):
        reason = content.get("message") or content.get("error") or reason
    # While Asterisk boots, a 404 in HTML means "not there yet", not "gone". A 500 in JSON is its
    # answer to what cannot be done, as to an endpoint without a telephone ("Allocation failed").
    if not isinstance(content, dict) or status == 503:
        raise Unreachable(f"{what}: {status} {reason}")
    if status == 404:
        raise Gone(f"{what}: {reason}")
    raise Refused(f"{what}: {status} {reason}", status)


def channel_of(event: Event) -> str:
    """The id of the channel that it is about; empty when it is about none."""
    if "channel" in event:
        return str(event["channel"]["id"])
    if "playback" in event:
        return str(event["playback"]["target_uri"]).removeprefix("channel:")
    return str(event.get("peer", {}).get("id", ""))
