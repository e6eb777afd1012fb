"""The SIP endpoint of a telephone: its socket, its account and its server."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import quote

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.sipphone.dialog import SOFTWARE, Dialog
from callcenter.sipphone.sip import (
    Content,
    Headers,
    Place,
    Request,
    Response,
    answer_challenge,
    challenge_of,
    host_port,
    place_of,
    quoted,
    respond,
    token,
    uri_of,
)
from callcenter.sipphone.transactions import Transactions

_ALLOWED = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, NOTIFY"


class SipEndpoint:
    """Sends and receives for one user at one UDP address. Use `open`, then `close`."""

    def __init__(
        self, server: Place, user: str, password: str | None, display_name: str | None
    ) -> None:
        self.server, self.user = server, user
        self._password, self._display_name = password, display_name
        self.place: Place = ("", 0)
        self.transactions: Transactions

    async def open(
        self, address: str, port: int, on_request: Callable[[Request, Place], None]
    ) -> None:
        """Begins to listen; port 0 is any free one. Raises DependencyUnavailable when it is in
        use.
        """
        loop = asyncio.get_running_loop()
        self.transactions = Transactions(on_request)
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: self.transactions, local_addr=(address, port)
            )
        except OSError as exc:
            raise DependencyUnavailable(
                f"the telephone cannot use UDP {address}:{port} ({exc.strerror}): choose another"
            ) from exc
        self.place = transport.get_extra_info("sockname")[:2]

    async def close(self) -> None:
        """Frees the address."""
        await self.transactions.close()

    @property
    def contact(self) -> str:
        return f"<sip:{_escaped(self.user)}@{host_port(self.place)}>"

    def via(self) -> str:
        """The Via of a new transaction."""
        return f"SIP/2.0/UDP {host_port(self.place)};rport;branch=z9hG4bK{token()}"

    def new_dialog(self, user: str | None) -> Dialog:
        """A dialog that we begin: with a user of the server, or (None) with the server itself."""
        host = host_port(self.server)
        name = f"{quoted(self._display_name)} " if self._display_name is not None else ""
        uri = f"sip:{host}" if user is None else f"sip:{_escaped(user)}@{host}"
        return Dialog(
            call_id=f"{token()}@{self.place[0]}",
            local=f"{name}<sip:{_escaped(self.user)}@{host}>;tag={token()}",
            remote=f"<{uri}>" if user is not None else f"<sip:{_escaped(self.user)}@{host}>",
            target=uri,
        )

    def next_hop(self, dialog: Dialog) -> Place:
        """The next hop of a dialog's requests: its first route or target; else the server."""
        place = place_of(uri_of(dialog.routes[0]) if dialog.routes else dialog.target)
        if place is None:
            return self.server
        try:
            ip_address(place[0])
        except ValueError:
            # a name: this telephone asks no DNS
            return self.server
        return place

    async def ask(
        self,
        dialog: Dialog,
        make: Callable[[Headers], Request],
        on_progress: Callable[[Response], None] | None = None,
    ) -> tuple[Request, Response]:
        """Send the request of `make`, again with credentials when the server challenges it.

        Returns the request that was sent last, and its final response, whatever that is; raises
        NoAnswer. `make` is given the headers to add, and makes a new request (CSeq, branch) each
        time.
        """
        to = self.next_hop(dialog)
        headers: Headers = ()
        while True:
            request = make(headers)
            response = await self.transactions.request(request, to, on_progress)
            challenge = challenge_of(response)
            if challenge is None or self._password is None or (headers and not challenge.stale):
                return request, response
            header = answer_challenge(
                challenge,
                user=self.user,
                password=self._password,
                method=request.method,
                uri=request.uri,
            )
            headers = (header,)

    def respond(
        self,
        request: Request,
        origin: Place,
        status: int,
        *,
        tag: str | None = None,
        body: Content | None = None,
    ) -> None:
        """Answers a request that came from `origin`."""
        headers: Headers = (("Contact", self.contact), ("Allow", _ALLOWED), ("Server", SOFTWARE))
        if body is not None:
            headers = (*headers, ("Content-Type", body[0]))
        response = respond(
            request, status, tag=tag, headers=headers, body=b"" if body is None else body[1]
        )
        self.transactions.respond(request, response, origin)


def _escaped(user: str) -> str:
    return quote(user, safe="+*")
