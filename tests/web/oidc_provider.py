"""An OpenID Connect provider of the tests' own, which answers as wrongly as it is told to.

It has no sign-in: a test takes the address that the browser is sent to, and gets a code for it.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT = "callcenter"
SECRET = "of the client/+:"
Claims = dict[str, Any]


class Provider:
    """What it says of the person who signs in is `person`; a test changes anything of it."""

    def __init__(self) -> None:
        self.issuer = ""
        self.person: Claims = {"sub": "anna-1", "preferred_username": "anna", "groups": ["heads"]}
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.keys = [self.key]
        self.changed: Claims = {}  # of the ID token
        self.metadata: Claims = {}
        self.userinfo: Claims | None = None
        self.sign: Callable[[Claims], str] = self.signed
        self.is_unavailable = False
        self.refreshes: str | None = None  # its refresh token; one that was used is taken no more
        self.refusal: str | None = None  # of refresh tokens
        self.repeats_claims = True
        self.key_reads = 0
        self._requested: dict[str, dict[str, str]] = {}

    def code(self, address: str) -> tuple[str, str]:
        """A person signs in at the address: the code and the state to come back with."""
        requested = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert requested["response_type"] == "code"
        assert requested["client_id"] == CLIENT
        assert requested["code_challenge_method"] == "S256"
        code = uuid4().hex
        self._requested[code] = requested
        return code, requested["state"]

    def signed(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def unsigned(self, claims: Claims) -> str:
        """`alg: none`, as RFC 7519 has it."""
        parts = ({"alg": "none"}, claims)
        return ".".join(map(_part, parts)) + "."

    def signed_with_the_public_key(self, claims: Claims) -> str:
        """HS256, with what everybody knows as the shared secret."""
        said = f"{_part({'alg': 'HS256', 'kid': 'first'})}.{_part(claims)}"
        existing = self.key.as_pem(private=False)
        return f"{said}.{_base64(hmac.digest(existing, said.encode(), 'sha256'))}"

    async def describe(self, _: web.Request) -> web.Response:
        if self.is_unavailable:
            return web.Response(status=502, text="<h1>Bad gateway</h1>")
        described = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/leave",
        }
        if self.userinfo is not None:
            described["userinfo_endpoint"] = f"{self.issuer}/person"
        return web.json_response(described | self.metadata)

    async def tell_keys(self, _: web.Request) -> web.Response:
        self.key_reads += 1
        return web.json_response(KeySet(list(self.keys)).as_dict(private=False))

    async def tell_person(self, _: web.Request) -> web.Response:
        return web.json_response(self.userinfo)

    async def give(self, request: web.Request) -> web.Response:
        """An ID token for a code, once, and only to whoever began."""
        form = await request.post()
        if form["grant_type"] == "refresh_token":
            return self._renew(str(form["refresh_token"]))
        requested = self._requested.pop(str(form["code"]), None)
        proof = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        sent = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        if (
            requested is None
            or requested["redirect_uri"] != form["redirect_uri"]
            or _base64(proof) != requested["code_challenge"]
            or sent != f"{CLIENT}:of+the+client%2F%2B%3A"
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return self._tokens(nonce=requested["nonce"])

    def _renew(self, token: str) -> web.Response:
        refusal = self.refusal or ("invalid_grant" if token != self.refreshes else None)
        if refusal is not None:
            return web.json_response({"error": refusal}, status=400)
        self.refreshes = uuid4().hex
        return self._tokens()

    def _tokens(self, **more: str) -> web.Response:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 60,
            **more,
            **self.person,
            **self.changed,
        }
        stored = {name: value for name, value in claims.items() if value is not None}
        tokens = {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(stored)}
        if not self.repeats_claims and not more:
            del tokens["id_token"]
        if self.refreshes is not None:
            tokens["refresh_token"] = self.refreshes
        return web.json_response(tokens)


def _part(value: Claims) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@asynccontextmanager
async def serve(provider: Provider) -> AsyncIterator[None]:
    """The provider, heard at its issuer."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", provider.describe),
            web.get("/keys", provider.tell_keys),
            web.get("/person", provider.tell_person),
            web.post("/token", provider.give),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        provider.issuer = f"http://{host}:{port}"
        yield
    finally:
        await runner.cleanup()
