"""A small registrar of an operator: it challenges whoever registers or calls, and remembers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callcenter.sipphone import sip
from callcenter.sipphone.sip import Challenge, Headers, Place, Request
from callcenter.sipphone.transactions import Transactions

ADDRESS = "127.0.0.6"
_CHALLENGE = Challenge("operator", "abcdef", False, None, False, "Authorization")


class Registrar:
    """Takes one account; `contact` is the URI at which it is reached, None while it is not."""

    def __init__(self, user: str, password: str) -> None:
        self.contact: str | None = None
        self.called: list[str] = []  #: URIs of calls by the account; each is refused as busy
        self.transactions = Transactions(self._take)
        self._user, self._password = user, password

    def _take(self, request: Request, origin: Place) -> None:
        if request.method == "ACK":
            return
        headers: Headers = ()
        if not self._is_authorized(request):
            status = 401
            headers = (("WWW-Authenticate", 'Digest realm="operator", nonce="abcdef"'),)
        elif request.method == "REGISTER":
            status, headers = 200, self._register(request)
        else:
            self.called.append(request.uri)
            status = 486
        response = sip.respond(request, status, tag="t", headers=headers)
        self.transactions.respond(request, response, origin)

    def _register(self, request: Request) -> Headers:
        contact = request.every("Contact")[0]
        if request.first("Expires") == "0" or sip.parameters(contact).get("expires") == "0":
            self.contact = None
            return ()
        self.contact = sip.uri_of(contact)
        return (("Contact", f"<{self.contact}>;expires=300"),)

    def _is_authorized(self, request: Request) -> bool:
        _, expected = sip.answer_challenge(
            _CHALLENGE,
            user=self._user,
            password=self._password,
            method=request.method,
            uri=request.uri,
        )
        answer = expected.rpartition(" ")[2]
        return answer in (request.first("Authorization") or "").replace(",", " ").split()


@asynccontextmanager
async def registrar(port: int, user: str, password: str) -> AsyncIterator[Registrar]:
    """A registrar at ADDRESS within the block."""
    running = Registrar(user, password)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: running.transactions, local_addr=(ADDRESS, port))
    try:
        yield running
    finally:
        await running.transactions.close()
