"""Client of ARI, Asterisk's REST interface: requests and events over one WebSocket.

REST over WebSocket (Asterisk 22.4 and later) costs a quarter of the client's CPU that HTTP does
and keeps requests in order; `docs/performance.md` has the figures. What callers may rely on:

* `request` raises `ChannelNotFound` (no such channel, bridge or playback any more),
  `AriRequestFailed` (Asterisk said no) or `AriUnavailable` (it did not say: the outcome is unknown,
  so nothing is ever retried).
* Events reach `on_event` in the order in which Asterisk sent them, from the reading task; it must
  not block. Choose ids yourself and register interest before you ask: an event may come before
  the answer to the request that caused it.
* With a fence nothing is requested, and no event passed on but user events (`ChannelUserevent`),
  once the calls are another's; `request` raises Fenced then.
* Lists (`LISTS`) are fetched by HTTP: an answer as long as a thread's stack, 496 KB or about 900
  channels, ends Asterisk when it is sent over a WebSocket (`ast_websocket_write` in 22.10).
* An event that Asterisk sends twice is passed on once.
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

from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed
from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.asterisk.fence import Fence
from callcenter.telephony.asterisk.resource_ids import ASTERISK_USER

log = logging.getLogger(__name__)

Event = dict[str, Any]

#: Of about 61 events of a call these are the ones that we never use.
IGNORED_EVENTS = (
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
LISTS = frozenset({"applications", "bridges", "channels"})  #: paths whose answer grows with calls
PING_INTERVAL = 2.0  # seconds; a silent peer is given up after one and a half of it
CONNECT_TIMEOUT = 5.0  # seconds: a connection that began in a cut network is tried anew after it
CLOSE_TIMEOUT = 0.5  # seconds for Asterisk to close its side of one that is as good as lost
DUPLICATE_WINDOW = 4096  # last events among which a duplicate is recognized
FIRST_DELAY, LAST_DELAY, PASSWORD_DELAY = 0.1, 0.5, 10.0  # seconds between attempts to connect
NO_LIMIT = aiohttp.ClientTimeout()  # of aiohttp, which would count our own lateness
NO_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER: what was not sent when we close is never sent


class ChannelNotFound(OperationFailed):
    """The channel, bridge or playback does not exist any more."""


class AriRequestFailed(OperationFailed):
    """Asterisk refused the request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AriUnavailable(OperationFailed):
    """Asterisk did not answer; whether it did what was requested is unknown."""


class Ari:
    """One Stasis application's connection to one Asterisk."""

    def __init__(
        self,
        *,
        port: int,
        password: str,
        application: str,
        on_event: Callable[[Event], None],
        on_connected: Callable[[], Awaitable[None]],
        fence: Fence | None = None,
    ) -> None:
        self.application = application
        self.connected = asyncio.Event()
        self.url = f"ws://127.0.0.1:{port}/ari/events?app={application}&subscribeAll=false"
        self._lists_url = f"http://127.0.0.1:{port}/ari"
        self.headers = {"Authorization": aiohttp.encode_basic_auth(ASTERISK_USER, password)}
        self.on_event = on_event
        self._on_connected = on_connected
        self._fence = fence
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._pending: dict[str, asyncio.Future[Event]] = {}
        self._ids = itertools.count(1)
        self._recent: dict[int, None] = {}

    async def ready(self, timeout: float) -> None:
        """Wait for a connection, `timeout` seconds at most; raises DependencyUnavailable."""
        try:
            async with asyncio.timeout(timeout):
                await self.connected.wait()
        except TimeoutError:
            raise DependencyUnavailable(
                "no ARI connection to Asterisk: is it up, is its port the set one?"
            ) from None

    async def run(self) -> None:
        """Keep connected until cancelled.

        Raises OperationFailed when another process took our name.
        """
        delay = FIRST_DELAY
        # A connection that was left open for the next list could have gone meanwhile.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(
            headers=self.headers, connector=connector
        ) as self._session:
            while True:
                try:
                    async with self._connect(self._session) as socket:
                        delay = FIRST_DELAY
                        await self._serve(socket)
                        log.warning("ARI connection lost; connecting again")
                except aiohttp.WSServerHandshakeError as exc:
                    if exc.status == 401:
                        log.error("ARI password refused: is ari.conf rendered anew?")
                        delay = PASSWORD_DELAY
                    else:  # 404 in HTML, then 503 in JSON: it is booting
                        log.info("ARI not ready yet: HTTP %d", exc.status)
                        delay = min(delay, LAST_DELAY)
                except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                    log.info("ARI does not answer: %s", str(exc) or "silence")
                await asyncio.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311 no secret
                delay = min(delay * 2, LAST_DELAY) if delay < LAST_DELAY else delay

    @asynccontextmanager
    async def _connect(
        self, session: aiohttp.ClientSession
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Connect within the block; an attempt that nobody answers is given up."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            socket = await session.ws_connect(
                self.url,
                heartbeat=PING_INTERVAL,
                autoping=True,
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
            )
        try:
            raw = socket.get_extra_info("socket")
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, NO_LINGER)
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
    ) -> Any:
        """Send a request; return the answer's JSON (None where Asterisk sends none).

        `path` is relative to /ari, as in `channels/ID/answer`. Waits for a connection up to
        `within` seconds, then for the answer up to as long again. Cancelling forgets the answer,
        not the request. Raises ChannelNotFound, AriRequestFailed, AriUnavailable or Fenced.
        """
        what = f"{method} {path}"
        if not self.connected.is_set():
            await self._wait_connected(what, within)
        elif self._fence is not None:
            self._fence.check()
        if method == "GET" and path in LISTS:
            return await self._fetch_list(what, path, within)
        return await self.send_request(what, method, path, query or {}, body, within)

    async def _wait_connected(self, what: str, within: float) -> None:
        connected = asyncio.create_task(self.connected.wait())
        ends: list[asyncio.Task[object]] = [connected]
        if self._fence is not None:
            ends.append(asyncio.create_task(self._fence.wait_fenced()))
        try:
            await asyncio.wait(ends, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()
        if self._fence is not None:
            self._fence.check()
        if not self.connected.is_set():
            raise AriUnavailable(f"{what}: not connected to Asterisk for {within:g} s")

    async def connect_again(self) -> None:
        """Close the connection, which is not as it should be; another is made at once."""
        if self._socket is not None:
            await self._socket.close()

    @property
    def unanswered(self) -> int:
        """How many requests are under way."""
        return len(self._pending)

    async def send_request(
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
            raise AriUnavailable(f"{what}: not connected to Asterisk")
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
            async with answer_within(within):
                await socket.send_str(json.dumps(message))
                return result_of(what, await answer)
        except TimeoutError:
            raise AriUnavailable(f"{what}: no answer from Asterisk in {within:g} s") from None
        except (aiohttp.ClientError, ConnectionError) as exc:
            raise AriUnavailable(f"{what}: the connection to Asterisk broke") from exc
        finally:
            self._pending.pop(request_id, None)

    async def _fetch_list(self, what: str, path: str, within: float) -> Any:
        if self._session is None:
            raise AriUnavailable(f"{what}: not connected to Asterisk")
        url = f"{self._lists_url}/{path}"
        try:
            async with answer_within(within), self._session.get(url, timeout=NO_LIMIT) as answer:
                text = await answer.text()
        except TimeoutError:
            raise AriUnavailable(f"{what}: no answer from Asterisk in {within:g} s") from None
        except (aiohttp.ClientError, OSError) as exc:
            raise AriUnavailable(f"{what}: the connection to Asterisk broke") from exc
        return result_of(
            what,
            {
                "status_code": answer.status,
                "reason_phrase": answer.reason,
                "message_body": text,
            },
        )

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        greeting = asyncio.create_task(self.greet())
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.receive(message.data)
                if greeting.done() and greeting.exception() is not None:
                    return
        finally:
            self.connected.clear()
            self._socket = None
            for answer in self._pending.values():
                if not answer.done():
                    answer.set_exception(AriUnavailable("the connection to Asterisk was lost"))
            greeting.cancel()
            await asyncio.gather(greeting, return_exceptions=True)

    async def greet(self) -> None:
        """Set the event filter (a reconnect drops it), then compare with what is there now."""
        try:
            await self.send_request(
                "setting the event filter",
                "PUT",
                f"applications/{self.application}/eventFilter",
                {},
                {"disallowed": [{"type": name} for name in IGNORED_EVENTS]},
                5.0,
            )
            self.connected.set()
            await self._on_connected()
        except Exception as exc:
            is_ours = not isinstance(exc, OperationFailed)
            log.error("ARI start failed: %s; connecting again", exc, exc_info=is_ours)
            await self.connect_again()
            raise

    def receive(self, text: str) -> None:
        try:
            event = json.loads(text)
            kind = event["type"]
        except (ValueError, KeyError, TypeError):
            log.warning("message of Asterisk ignored: it is no event")
            return
        if kind == "RESTResponse":
            answer = self._pending.get(event.get("request_id", ""))
            if answer is not None and not answer.done():
                answer.set_result(event)
        elif kind == "ApplicationReplaced":
            raise OperationFailed(
                f"another process answers calls as {self.application}; give each its own --name"
            )
        elif self._is_duplicate(text):
            log.warning("duplicate event ignored: %s", kind)
        elif self._fence is None or kind == "ChannelUserevent":
            self._dispatch(event)
        else:
            self._fence.run(partial(self._dispatch, event))

    def _is_duplicate(self, text: str) -> bool:
        """Whether the same text came lately: times, ids and serials are in it."""
        digest = hash(text)
        if digest in self._recent:
            return True
        self._recent[digest] = None
        if len(self._recent) > DUPLICATE_WINDOW:
            del self._recent[next(iter(self._recent))]
        return False

    def _dispatch(self, event: Event) -> None:
        try:
            self.on_event(event)
        except Exception:
            log.exception("event not handled: %s: our fault", event["type"])


def result_of(what: str, answer: Event) -> Any:
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
        raise AriUnavailable(f"{what}: {status} {reason}")
    if status == 404:
        raise ChannelNotFound(f"{what}: {reason}")
    raise AriRequestFailed(f"{what}: {status} {reason}", status)


def channel_of(event: Event) -> str:
    """The id of the channel that an event is about; empty when it is about none."""
    if "channel" in event:
        return str(event["channel"]["id"])
    if "referred_by" in event:  # a transfer
        return str(event["referred_by"]["source_channel"]["id"])
    if "playback" in event:
        return str(event["playback"]["target_uri"]).removeprefix("channel:")
    return str(event.get("peer", {}).get("id", ""))
