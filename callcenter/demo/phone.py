"""A scripted telephone: real SIP over UDP and real RTP with sound, for the demo and the tests.

Our own, in pure asyncio, because nothing that exists does it: SIPp cannot tell what was heard,
baresip can be neither hostile nor timed, and the SIP libraries for Python are threads around C.
It knows just what a caller and a consultant need: G.711, keys, hold, digest authentication.
One process can hold 50 calls and more.

    async with Phone(server=("127.0.0.1", 5060)) as phone:
        call = await phone.call("111")
        await call.answered()
        await call.press("2")
        await call.hang_up()
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from callcenter.demo.call import Call
from callcenter.demo.faults import Refused
from callcenter.demo.sdp import BadSession
from callcenter.demo.sip import Headers, Place, Request, parameters
from callcenter.demo.sound import Codec
from callcenter.demo.station import Station

#: How long leaving the telephone waits for a silent server.
_PATIENCE = 3.0


class Phone:
    """One user at one UDP address. Leaving the context hangs up, unregisters and frees it.

    `address` is the IP address from which it speaks (a trunk is known by it), `port` 0 is any
    free one. With `rings=False` it says no more than 100 to an incoming call until you answer it.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.2",
        port: int = 0,
        server: Place,
        user: str = "+77011234567",
        password: str | None = None,
        codecs: Sequence[Codec] = ("PCMA", "PCMU"),
        display_name: str | None = None,
        rings: bool = True,
    ) -> None:
        self._station = Station(server, user, password, display_name)
        self._address, self._port = address, port
        self._codecs, self._rings = codecs, rings
        self._calls: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._incoming: asyncio.Queue[Call] = asyncio.Queue()
        self._registration = self._station.new_dialog(None)
        self._registered = False

    async def __aenter__(self) -> "Phone":
        """Raises NotReady when the address and port cannot be had."""
        await self._station.open(self._address, self._port, self._take)
        self._registration = self._station.new_dialog(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                ends = [call.hang_up() for call in self.calls]
                if self._registered:
                    ends.append(self.unregister())
                await asyncio.gather(*ends, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in self.calls:
            call.drop()
        await self._station.close()

    @property
    def place(self) -> Place:
        """The address and port at which this telephone is heard."""
        return self._station.place

    @property
    def garbage(self) -> int:
        """How many datagrams came that were no SIP."""
        return self._station.transactions.garbage

    @property
    def calls(self) -> list[Call]:
        """The calls that are not over."""
        return list(self._calls.values())

    async def register(self, expires: int = 120) -> None:
        """Registers with the server for `expires` seconds (it is not renewed by itself).

        Raises Refused (with `status`, 401 or 403 for a wrong password) or NoAnswer.
        """
        contact = (("Contact", self._station.contact), ("Expires", str(expires)))

        def make(more: Headers) -> Request:
            headers = (*contact, *more)
            return self._registration.request("REGISTER", self._station.via(), headers=headers)

        _, response = await self._station.ask(self._registration, make)
        if response.status >= 300:
            raise Refused("REGISTER", response.status, response.reason)
        self._registered = expires > 0

    async def unregister(self) -> None:
        """Takes the registration back. Raises Refused or NoAnswer."""
        await self.register(0)

    async def call(
        self, number: str, *, headers: Mapping[str, str] | None = None, sdp: bool = True
    ) -> Call:
        """Places a call and returns at once; `sdp=False` leaves the offer to the other side."""
        dialog = self._station.new_dialog(number)
        call = Call(self._station, dialog, self._codecs, self._forget)
        self._calls[call.call_id] = call
        task = asyncio.create_task(call.place(tuple((headers or {}).items()), with_sdp=sdp))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return call

    async def next_call(self, timeout: float = 10) -> Call:
        """The next call that comes in; it rings by itself. Raises TimeoutError."""
        try:
            async with asyncio.timeout(timeout):
                return await self._incoming.get()
        except TimeoutError as exc:
            raise TimeoutError(f"no call came in within {timeout:g} s") from exc

    def _forget(self, call: Call) -> None:
        self._calls.pop(call.call_id, None)

    def _take(self, request: Request, origin: Place) -> None:
        call = self._calls.get(request.call_id)
        if call is not None and call.belongs(request):
            call.take(request, origin)
        elif request.method == "ACK":
            # belongs to an answer of ours that refused a call: nothing is left to do
            return
        elif request.method == "INVITE" and "tag" not in parameters(request.need("To")):
            self._take_invite(request, origin)
        elif request.method in ("OPTIONS", "NOTIFY"):
            self._station.respond(request, origin, 200)
        elif request.method in ("INVITE", "BYE", "CANCEL", "UPDATE", "INFO"):
            self._station.respond(request, origin, 481)
        else:
            self._station.respond(request, origin, 405)

    def _take_invite(self, invite: Request, origin: Place) -> None:
        try:
            call = Call.received(self._station, invite, origin, self._codecs, self._forget)
        except BadSession:
            self._station.respond(invite, origin, 488)
            return
        self._calls[call.call_id] = call
        call.respond(100)
        if self._rings:
            call.respond(180)
        self._incoming.put_nowait(call)
