"""Callers and consultants for a measurement: real SIP, real RTP, hundreds of calls in one process.

The same telephones stand on both sides of a comparison. All that they note is in seconds of
`time.monotonic()`.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from callcenter.platform.core.errors import OperationFailed
from callcenter.sipphone import sdp
from callcenter.sipphone.dialog import Dialog
from callcenter.sipphone.endpoint import SipEndpoint
from callcenter.sipphone.errors import NoAnswer
from callcenter.sipphone.sip import Place, Request, parameters, token, user_of
from tests.bench.speech import Speech, Stream

KEY = "1"  # Kazakh in the first menu, a consultant in the second
FIRST_KEY, SECOND_KEY = 1.0, 2.0  # seconds after the answer at which each is pressed
PATIENCE = 10.0  # seconds for the switch to answer an INVITE


@dataclass(eq=False, slots=True)
class PlacedCall:
    """What a caller noted."""

    number: str
    invite_at: float
    answered_at: float | None = None
    key_at: float | None = None  #: the second key was released: from now on a consultant is wanted
    ended_at: float | None = None
    fault: str | None = None  #: refused, unanswered, or ended by the other side


@dataclass(eq=False, slots=True)
class RungLeg:
    """What a consultant noted. `caller` is the number that the telephone was shown."""

    extension: str
    caller: str
    invite_at: float
    acknowledged_at: float | None = None
    ended_at: float | None = None


class Telephones:
    """Many users who share one SIP socket and one RTP socket at `address`.

    Their packets have so many `frames` of 20 ms, and they ask for as many.
    """

    def __init__(self, server: Place, address: str, password: str | None, frames: int) -> None:
        self._password = password
        self._hub = SipEndpoint(server, "hub", None, None)
        self._address = address
        self._speech = Speech(address, frames)
        self._packet_time = f"a=ptime:{20 * frames}".encode()

    async def __aenter__(self) -> "Telephones":
        await self._hub.open(self._address, 0, self._take)
        # asyncio itself reads one datagram a turn of its loop: at 20 calls a second a busy loop
        # would hear the switch's answers seconds late.
        self._socket = self._hub.transactions.duplicate_socket()
        asyncio.get_running_loop().add_reader(self._socket, self._drain)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        await self._hub.close()
        self._speech.close()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self._hub.transactions.datagram_received(*self._socket.recvfrom(65535))

    def _paced(self, session: bytes) -> bytes:
        return session.replace(b"a=ptime:20", self._packet_time)

    def _user(self, name: str) -> SipEndpoint:
        endpoint = SipEndpoint(self._hub.server, name, self._password, None)
        endpoint.place, endpoint.transactions = self._hub.place, self._hub.transactions
        return endpoint

    def _take(self, request: Request, origin: Place) -> None:
        if request.method == "BYE":
            self._hub.respond(request, origin, 200)
            self._ended(request.call_id)
        elif request.method == "INVITE" and "tag" not in parameters(request.need("To")):
            self._rung(request, origin)
        elif request.method == "ACK":
            self._acknowledged(request.call_id)
        else:
            self._hub.respond(request, origin, 200 if request.method == "OPTIONS" else 481)

    def _rung(self, invite: Request, origin: Place) -> None:
        self._hub.respond(invite, origin, 480)

    def _acknowledged(self, call_id: str) -> None:
        """The other side has our answer."""

    def _ended(self, call_id: str) -> None:
        """The other side hung up."""


class Consultants(Telephones):
    """Softphones that answer at once and talk until the other side hangs up."""

    def __init__(self, server: Place, address: str, password: str, frames: int = 1) -> None:
        super().__init__(server, address, password, frames)
        self.legs: list[RungLeg] = []
        self._talks: dict[str, tuple[RungLeg, Stream]] = {}

    async def __aenter__(self) -> "Consultants":
        await super().__aenter__()
        return self

    async def register(self, extensions: Sequence[str]) -> None:
        """Register all of them for an hour. Raises OperationFailed when one is refused."""
        for start in range(0, len(extensions), 10):
            some = extensions[start : start + 10]
            await asyncio.gather(*(self._register(each) for each in some))

    async def _register(self, extension: str) -> None:
        endpoint = self._user(extension)
        dialog = endpoint.new_dialog(None)
        contact = (("Contact", endpoint.contact), ("Expires", "3600"))
        _, response = await endpoint.ask(
            dialog,
            lambda more: dialog.request("REGISTER", endpoint.via(), headers=(*contact, *more)),
        )
        if response.status != 200:
            raise OperationFailed(f"consultant {extension} cannot register: {response.status}")

    def _rung(self, invite: Request, origin: Place) -> None:
        leg = RungLeg(user_of(invite.uri), user_of(invite.need("From")), time.monotonic())
        self.legs.append(leg)
        tag = token()
        offered = sdp.parse(invite.body)
        answer = sdp.answer(self._speech.place, offered, ("PCMA",), version=1)
        self._hub.respond(invite, origin, 180, tag=tag)
        self._hub.respond(invite, origin, 200, tag=tag, body=(sdp.TYPE, self._paced(answer)))
        stream = self._speech.start((offered.address, offered.port))
        self._talks[invite.call_id] = (leg, stream)

    def _acknowledged(self, call_id: str) -> None:
        talk = self._talks.get(call_id)
        if talk is not None and talk[0].acknowledged_at is None:
            talk[0].acknowledged_at = time.monotonic()

    def _ended(self, call_id: str) -> None:
        talk = self._talks.pop(call_id, None)
        if talk is not None:
            talk[0].ended_at = time.monotonic()
            talk[1].stop()


class Callers(Telephones):
    """People who dial 111, press two keys, talk, and hang up; each from another number."""

    def __init__(self, server: Place, address: str, frames: int = 1) -> None:
        super().__init__(server, address, None, frames)
        self._numbers = itertools.count(1)
        self._hung_up_on: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> "Callers":
        await super().__aenter__()
        return self

    async def call(self, talk: float, calls: list[PlacedCall]) -> None:
        """One call, from INVITE to the BYE that the caller sends `talk` seconds after the key.

        Adds itself to `calls` at once; whatever goes wrong is its `fault`.
        """
        user = self._user(f"+7701{next(self._numbers):07}")
        dialog = user.new_dialog("111")
        body = self._paced(sdp.offer(self._speech.place, ("PCMA",), version=1))
        contact = (("Contact", user.contact),)
        call = PlacedCall(user.user, time.monotonic())
        calls.append(call)
        invite = dialog.request(
            "INVITE", user.via(), headers=contact, body=(sdp.TYPE, self._paced(body))
        )
        try:
            async with asyncio.timeout(PATIENCE):
                response = await self._hub.transactions.request(invite, self._hub.server)
        except (NoAnswer, TimeoutError):
            call.fault = f"no answer in {PATIENCE:g} s"
            return
        if response.status != 200:
            call.fault = f"refused: {response.status}"
            return
        call.answered_at = time.monotonic()
        dialog.learn(response)
        ack = dialog.request("ACK", user.via(), cseq=invite.cseq[0])
        self._hub.transactions.acknowledge(invite, ack, self._hub.server)
        await self._talk(call, user, dialog, sdp.parse(response.body), talk)

    async def _talk(
        self,
        call: PlacedCall,
        user: SipEndpoint,
        dialog: Dialog,
        session: sdp.SessionDescription,
        talk: float,
    ) -> None:
        gone = self._hung_up_on[dialog.call_id] = asyncio.Event()
        stream = self._speech.start((session.address, session.port))
        script = asyncio.create_task(self._press_and_talk(call, stream, session, talk))
        leaving = asyncio.create_task(gone.wait())
        try:
            await asyncio.wait((script, leaving), return_when=asyncio.FIRST_COMPLETED)
            call.ended_at = time.monotonic()
            if script.done():
                script.result()
                bye = dialog.request("BYE", user.via())
                await self._hub.transactions.request(bye, self._hub.server)
            else:
                call.fault = "the switch hung up"
        except NoAnswer:
            call.fault = "BYE was not answered"
        finally:
            for task in (script, leaving):
                task.cancel()
            await asyncio.gather(script, leaving, return_exceptions=True)
            stream.stop()
            del self._hung_up_on[dialog.call_id]

    async def _press_and_talk(
        self, call: PlacedCall, stream: Stream, session: sdp.SessionDescription, talk: float
    ) -> None:
        begun = time.monotonic()
        if session.events is None:
            raise OperationFailed("the switch takes no telephone events")
        for at in (FIRST_KEY, SECOND_KEY):
            await asyncio.sleep(begun + at - time.monotonic())
            released = await self._speech.press(stream, KEY, session.events)
        call.key_at = released
        await asyncio.sleep(released + talk - time.monotonic())

    def _ended(self, call_id: str) -> None:
        gone = self._hung_up_on.get(call_id)
        if gone is not None:
            gone.set()
