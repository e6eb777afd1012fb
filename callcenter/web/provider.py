"""The organisation's OpenID Connect provider: its addresses and keys, and what it signs.

Outside calls are given 5 seconds and 256 KB. Nothing that it sends is believed before its
signature, issuer, audience, times and nonce are checked (OpenID Connect Core 1.0, 3.1.3.7).
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from callcenter.errors import AskedWrongly, NotReady
from callcenter.web.claims import Claims

PATIENCE = aiohttp.ClientTimeout(total=5)
LARGEST = 256 * 1024
#: Seconds: how long its addresses are believed, and its keys are not asked for again in vain.
FRESH, PAUSE = 3600.0, 30.0
LONGEST_SUBJECT = 255  # OpenID Connect Core 1.0, 2
#: Seconds that its clock may differ from ours.
LEEWAY = 60
#: Only signatures by a private key: never `none`, never one made with a shared secret.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519"]
NOT_NEEDED = ("userinfo_endpoint", "end_session_endpoint")
ADDRESSES = ("authorization_endpoint", "token_endpoint", "jwks_uri", *NOT_NEEDED)
REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class ProviderAway(NotReady):
    """The organisation's sign-in does not answer: try again in a while."""


class NotBelieved(AskedWrongly):
    """What the provider sent is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Client:
    """What we are to the provider."""

    issuer: str
    client_id: str
    client_secret: str | None
    redirect_uri: str
    scopes: str


class Provider:
    """One provider; what is read of it is remembered by this process."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._metadata: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = self._keys_at = float("-inf")
        self._turn = asyncio.Lock()

    async def address(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the browser is sent to sign in. Raises ProviderAway."""
        metadata = await self._discovered()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return _with(metadata["authorization_endpoint"], asked)

    async def leaving(self, back: str) -> str | None:
        """Where the browser is sent to sign out there too; None when the provider has no such."""
        address = (await self._discovered()).get("end_session_endpoint")
        if not isinstance(address, str):
            return None
        asked = {"client_id": self.client.client_id, "post_logout_redirect_uri": back}
        return _with(address, asked)

    async def exchange(self, code: str, *, issuer: str | None, nonce: str, verifier: str) -> Claims:
        """What the provider says of the person whose code this is; a code counts once, there.

        `issuer` is what came with the code (RFC 9207). Raises NotBelieved, ProviderAway.
        """
        metadata = await self._discovered()
        named = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is not None or named) and issuer != self.client.issuer:
            raise NotBelieved("the answer is of another issuer")
        tokens = await self._tokens(metadata, code, verifier)
        claims = await self._checked(tokens.get("id_token"), nonce)
        access = tokens.get("access_token")
        address = metadata.get("userinfo_endpoint")
        if isinstance(access, str) and isinstance(address, str):
            headers = {"Authorization": f"Bearer {access}"}
            told = await self._asked("GET", address, headers=headers)
            if told.get("sub") != claims["sub"]:  # Core 1.0, 5.3.2
                raise NotBelieved("the provider tells of somebody else")
            return {**told, **claims}
        return claims

    async def _tokens(self, metadata: Mapping[str, Any], code: str, verifier: str) -> Claims:
        client, headers = self.client, {}
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uri,
            "code_verifier": verifier,
        }
        ways = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if client.client_secret is None:
            form["client_id"] = client.client_id
        elif "client_secret_basic" in ways:
            pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client.client_id, "client_secret": client.client_secret}
        return await self._asked("POST", metadata["token_endpoint"], data=form, headers=headers)

    async def _checked(self, token: object, nonce: str) -> dict[str, Any]:
        """The claims of an ID token, once everything about it is right."""
        if not isinstance(token, str):
            raise NotBelieved("the provider sent no ID token")
        try:
            claims = await self._opened(token)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY,
                iss={"essential": True, "value": self.client.issuer},
                aud={"essential": True, "value": self.client.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError) as exc:
            raise NotBelieved(f"the ID token is wrong: {exc}") from exc
        if len(claims["sub"]) > LONGEST_SUBJECT:
            raise NotBelieved("the ID token's subject is too long")
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and "azp" not in claims:
            raise NotBelieved("the ID token is for several, and not said to be given to us")
        if claims.get("azp", self.client.client_id) != self.client.client_id:
            raise NotBelieved("the ID token was given to somebody else")
        return claims

    async def _opened(self, token: str) -> dict[str, Any]:
        """Signed by a key that the provider has now: keys change, so they may be read again."""
        try:
            return jwt.decode(token, await self._known_keys(), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError):
            if not await self._read_keys():
                raise
        return jwt.decode(token, await self._known_keys(), algorithms=ALGORITHMS).claims

    async def _known_keys(self) -> KeySet:
        if self._keys is None:
            await self._read_keys()
        if self._keys is None:
            raise ProviderAway
        return self._keys

    async def _read_keys(self) -> bool:
        """Read the keys; False when that was done just now: nobody makes us ask all the time."""
        async with self._turn:
            if time.monotonic() < self._keys_at + PAUSE:
                return False
            found = await self._asked("GET", (await self._discovered())["jwks_uri"])
            try:
                self._keys = KeySet.import_key_set(dict(found))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as exc:
                raise ProviderAway("the provider's keys cannot be read") from exc
            self._keys_at = time.monotonic()
            return True

    async def _discovered(self) -> Mapping[str, Any]:
        """The provider's description of itself (OpenID Connect Discovery 1.0)."""
        if time.monotonic() < self._read_at + FRESH:
            return self._metadata
        address = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._asked("GET", address)
        if found.get("issuer") != self.client.issuer:
            raise ProviderAway(
                f"{address} is of another issuer than the setting CALLCENTER_OIDC_ISSUER names"
            )
        for name in ADDRESSES:
            told = found.get(name)
            if not (told is None and name in NOT_NEEDED) and not is_safe(told):
                raise ProviderAway(f"{address} names no safe {name}")
        self._metadata, self._read_at = found, time.monotonic()
        return found

    async def _asked(
        self,
        method: str,
        address: str,
        *,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """The JSON object that it answers with. Raises ProviderAway; NotBelieved for a refusal."""
        try:
            async with (
                aiohttp.ClientSession(timeout=PATIENCE) as session,
                session.request(
                    method, address, data=data, headers=headers, allow_redirects=False
                ) as answer,
            ):
                body = await _whole(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ProviderAway from exc
        if method == "POST" and answer.status in REFUSALS:
            raise NotBelieved("the provider refused the code")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise ProviderAway(f"the provider answers nonsense, status {answer.status}") from exc
        if answer.status != HTTPStatus.OK or not isinstance(found, dict):
            raise ProviderAway(f"the provider answers with status {answer.status}")
        return found


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > LARGEST:
            raise ProviderAway("the provider does not stop answering")
    return body


def is_safe(address: object) -> bool:
    """HTTPS, or plain HTTP on loopback, where nobody listens in."""
    if not isinstance(address, str) or not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and loopback)
    )


def _with(address: str, asked: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"
