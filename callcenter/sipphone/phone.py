"""A scripted telephone: real SIP over UDP and real RTP, for the demo and the tests.

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

from callcenter.sipphone.audio import Codec
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.endpoint import SipEndpoint
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.sdp import BadSession
from callcenter.sipphone.sip import Headers, Place, Request, parameters

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
        self._endpoint = SipEndpoint(server, user, password, display_name)
        self._address, self._port = address, port
        self._codecs, self._rings = codecs, rings
        self._calls: dict[str, SipCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._incoming: asyncio.Queue[SipCall] = asyncio.Queue()
        self._registration = self._endpoint.new_dialog(None)
        self._registered = False

    async def __aenter__(self) -> "Phone":
        """Open the socket. Raises DependencyUnavailable when the address and port cannot be had."""
        await self._endpoint.open(self._address, self._port, self._take)
        self._registration = self._endpoint.new_dialog(None)
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
        await self._endpoint.close()

    async def drop(self) -> None:
        """Switches it off without a word to anybody, as a crash or a cut cable does."""
        self._registered = False
        for call in self.calls:
            call.drop()
        await self._endpoint.close()

    @property
    def place(self) -> Place:
        """The address and port at which this telephone is heard."""
        return self._endpoint.place

    @property
    def garbage(self) -> int:
        """The number of received datagrams that were not SIP."""
        return self._endpoint.transactions.garbage

    @property
    def calls(self) -> list[SipCall]:
        """The calls that are not over."""
        return list(self._calls.values())

    async def register(self, expires: int = 120) -> None:
        """Registers with the server for `expires` seconds (it is not renewed by itself).

        Raises Refused (with `status`, 401 or 403 for a wrong password) or NoAnswer.
        """
        contact = (("Contact", self._endpoint.contact), ("Expires", str(expires)))

        def make(more: Headers) -> Request:
            headers = (*contact, *more)
            return self._registration.request("REGISTER", self._endpoint.via(), headers=headers)

        _, response = await self._endpoint.ask(self._registration, make)
        if response.status >= 300:
            raise Refused("REGISTER", response.status, response.reason)
        self._registered = expires > 0

    async def unregister(self) -> None:
        """Takes the registration back. Raises Refused or NoAnswer."""
        await self.register(0)

    async def call(
        self,
        number: str,
        *,
        headers: Mapping[str, str] | None = None,
        sdp: bool = True,
        uri: str | None = None,
    ) -> SipCall:
        """Places a call and returns at once; `sdp=False` leaves the offer to the other side.

        `uri` is the request's, as that of a contact; else it is the number at the server.
        """
        dialog = self._endpoint.new_dialog(number)
        dialog.target = uri or dialog.target
        call = SipCall(self._endpoint, dialog, self._codecs, self._forget)
        self._calls[call.call_id] = call
        task = asyncio.create_task(call.place(tuple((headers or {}).items()), with_sdp=sdp))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return call

    async def next_call(self, timeout: float = 10) -> SipCall:
        """The next call that comes in; it rings by itself. Raises TimeoutError."""
        try:
            async with asyncio.timeout(timeout):
                return await self._incoming.get()
        except TimeoutError as exc:
            raise TimeoutError(f"no call came in within {timeout:g} s") from exc

    def forget_missed_calls(self) -> None:
        """Leave out of `next_call` what has come in until now."""
        while not self._incoming.empty():
            self._incoming.get_nowait()

    def _forget(self, call: SipCall) -> None:
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
            self._endpoint.respond(request, origin, 200)
        elif request.method in ("INVITE", "BYE", "CANCEL", "UPDATE", "INFO"):
            self._endpoint.respond(request, origin, 481)
        else:
            self._endpoint.respond(request, origin, 405)

    def _take_invite(self, invite: Request, origin: Place) -> None:
        try:
            call = SipCall.received(self._endpoint, invite, origin, self._codecs, self._forget)
        except BadSession:
            self._endpoint.respond(invite, origin, 488)
            return
        self._calls[call.call_id] = call
        call.respond(100)
        if self._rings:
            call.respond(180)
        self._incoming.put_nowait(call)
