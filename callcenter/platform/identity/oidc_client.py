"""Client of the organisation's OpenID Connect provider: its endpoints, keys and ID tokens.

Requests are limited to 5 seconds and 256 KB. A token is trusted only after its signature, issuer,
audience, times and nonce were checked (OpenID Connect Core 1.0, 3.1.3.7).
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.identity.oidc_claims import Claims

TIMEOUT = aiohttp.ClientTimeout(total=5)
MAX_BODY = 256 * 1024
#: Seconds: how long its metadata is cached, and between two requests of its keys.
METADATA_LIFETIME, KEYS_INTERVAL = 3600.0, 30.0
LONGEST_SUBJECT = 255  # OpenID Connect Core 1.0, 2
#: Seconds that its clock may differ from ours.
LEEWAY = 60
#: Only signatures by a private key: never `none`, never one made with a shared secret.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519"]
OPTIONAL_ENDPOINTS = ("userinfo_endpoint", "end_session_endpoint")
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", *OPTIONAL_ENDPOINTS)
NO_MORE: Mapping[str, jwt.ClaimsOption] = MappingProxyType({})
REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class ProviderUnavailable(DependencyUnavailable):
    """The organisation's sign-in does not answer: try again in a while."""


class InvalidOidcResponse(InvalidRequest):
    """The provider sent another response than the one that was requested."""


class GrantRefused(InvalidOidcResponse):
    """The provider takes this code or refresh token no more."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Claims of a user, none where the provider repeats none, and the token to ask again with."""

    claims: Claims
    refresh_token: str | None


@dataclass(frozen=True, slots=True)
class Client:
    """Our registration with the provider."""

    issuer: str
    client_id: str
    client_secret: str | None
    redirect_uri: str
    scopes: str


class OidcClient:
    """One provider; its metadata and keys are cached in this process."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._metadata: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = self.keys_read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def sign_in_address(self, *, state: str, nonce: str, verifier: str) -> str:
        """The address that a browser is sent to for sign-in. Raises ProviderUnavailable."""
        metadata = await self._discover()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        parameters = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return _add_query(metadata["authorization_endpoint"], parameters)

    async def sign_out_address(self, back: str) -> str | None:
        """The provider's address for sign-out; None when it has none."""
        address = (await self._discover()).get("end_session_endpoint")
        if not isinstance(address, str):
            return None
        parameters = {"client_id": self.client.client_id, "post_logout_redirect_uri": back}
        return _add_query(address, parameters)

    async def exchange(
        self, code: str, *, issuer: str | None, nonce: str, verifier: str
    ) -> Confirmation:
        """Exchange a code, which is valid once, for the claims of its user.

        `issuer` is what came with the code (RFC 9207). Raises InvalidOidcResponse,
        ProviderUnavailable.
        """
        metadata = await self._discover()
        named = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is not None or named) and issuer != self.client.issuer:
            raise InvalidOidcResponse("the answer is of another issuer")
        tokens = await self._tokens(
            metadata,
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.client.redirect_uri,
                "code_verifier": verifier,
            },
        )
        claims = await self._verify_id_token(
            tokens.get("id_token"), {"nonce": {"essential": True, "value": nonce}}
        )
        return await self._confirmation(metadata, tokens, claims, claims["sub"])

    async def refresh(self, token: str, subject: str) -> Confirmation:
        """The claims of this user now (OpenID Connect Core 1.0, 12).

        Raises GrantRefused when the sign-in at the provider has ended; InvalidOidcResponse,
        ProviderUnavailable.
        """
        metadata = await self._discover()
        grant = {"grant_type": "refresh_token", "refresh_token": token}
        tokens = {"refresh_token": token, **await self._tokens(metadata, grant)}
        claims: Claims = {}
        if "id_token" in tokens:
            claims = await self._verify_id_token(tokens["id_token"])
            if claims["sub"] != subject:
                raise InvalidOidcResponse("the provider tells of somebody else")
        return await self._confirmation(metadata, tokens, claims, subject)

    async def check_available(self) -> None:
        """Raise ProviderUnavailable when the provider does not answer now."""
        self._read_at = float("-inf")
        await self._discover()

    async def _confirmation(
        self, metadata: Mapping[str, Any], tokens: Claims, claims: Claims, subject: str
    ) -> Confirmation:
        """The claims with those of userinfo, which count less."""
        access, refresh = tokens.get("access_token"), tokens.get("refresh_token")
        address = metadata.get("userinfo_endpoint")
        if isinstance(access, str) and isinstance(address, str):
            headers = {"Authorization": f"Bearer {access}"}
            userinfo = await self._request("GET", address, headers=headers)
            if userinfo.get("sub") != subject:  # Core 1.0, 5.3.2
                raise InvalidOidcResponse("the provider tells of somebody else")
            claims = {**userinfo, **claims}
        return Confirmation(claims, refresh if isinstance(refresh, str) else None)

    async def _tokens(self, metadata: Mapping[str, Any], grant: Mapping[str, str]) -> Claims:
        client, form, headers = self.client, dict(grant), {}
        ways = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if client.client_secret is None:
            form["client_id"] = client.client_id
        elif "client_secret_basic" in ways:
            pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client.client_id, "client_secret": client.client_secret}
        return await self._request("POST", metadata["token_endpoint"], data=form, headers=headers)

    async def _verify_id_token(
        self, token: object, more: Mapping[str, jwt.ClaimsOption] = NO_MORE
    ) -> dict[str, Any]:
        """The claims of an ID token, once all of it was checked, and `more` of it."""
        if not isinstance(token, str):
            raise InvalidOidcResponse("the provider sent no ID token")
        try:
            claims = await self._verify_signature(token)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY,
                iss={"essential": True, "value": self.client.issuer},
                aud={"essential": True, "value": self.client.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                now=None,
                **more,
            ).validate(claims)
        except (JoseError, ValueError) as exc:
            raise InvalidOidcResponse(f"the ID token is wrong: {exc}") from exc
        if len(claims["sub"]) > LONGEST_SUBJECT:
            raise InvalidOidcResponse("the ID token's subject is too long")
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and "azp" not in claims:
            raise InvalidOidcResponse("the ID token is for several, and not said to be given to us")
        if claims.get("azp", self.client.client_id) != self.client.client_id:
            raise InvalidOidcResponse("the ID token was given to somebody else")
        return claims

    async def _verify_signature(self, token: str) -> dict[str, Any]:
        """Decode a token signed by a current key; keys change, so they may be read again."""
        try:
            return jwt.decode(token, await self._get_keys(), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError):
            if not await self._read_keys():
                raise
        return jwt.decode(token, await self._get_keys(), algorithms=ALGORITHMS).claims

    async def _get_keys(self) -> KeySet:
        if self._keys is None:
            await self._read_keys()
        if self._keys is None:
            raise ProviderUnavailable
        return self._keys

    async def _read_keys(self) -> bool:
        """Read the keys; False when that was done just now: attackers cannot force it."""
        async with self._lock:
            if time.monotonic() < self.keys_read_at + KEYS_INTERVAL:
                return False
            found = await self._request("GET", (await self._discover())["jwks_uri"])
            try:
                self._keys = KeySet.import_key_set(dict(found))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as exc:
                raise ProviderUnavailable("the provider's keys cannot be read") from exc
            self.keys_read_at = time.monotonic()
            return True

    async def _discover(self) -> Mapping[str, Any]:
        """The metadata of the provider (OpenID Connect Discovery 1.0)."""
        if time.monotonic() < self._read_at + METADATA_LIFETIME:
            return self._metadata
        address = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._request("GET", address)
        if found.get("issuer") != self.client.issuer:
            raise ProviderUnavailable(
                f"{address} is of another issuer than the setting CALLCENTER_OIDC_ISSUER names"
            )
        for name in ENDPOINTS:
            endpoint = found.get(name)
            if not (endpoint is None and name in OPTIONAL_ENDPOINTS) and not is_safe(endpoint):
                raise ProviderUnavailable(f"{address} names no safe {name}")
        self._metadata, self._read_at = found, time.monotonic()
        return found

    async def _request(
        self,
        method: str,
        address: str,
        *,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """The JSON object of the answer.

        Raises ProviderUnavailable; GrantRefused and InvalidOidcResponse for a refusal.
        """
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                session.request(
                    method, address, data=data, headers=headers, allow_redirects=False
                ) as answer,
            ):
                body = await _read_body(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ProviderUnavailable from exc
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise ProviderUnavailable(
                f"the provider answers nonsense, status {answer.status}"
            ) from exc
        if method == "POST" and answer.status in REFUSALS:
            why = found.get("error") if isinstance(found, dict) else None
            if why == "invalid_grant":  # RFC 6749, 5.2
                raise GrantRefused("the provider refused the code or token")
            raise InvalidOidcResponse(f"the provider refused the request: {str(why)[:100]!r}")
        if answer.status != HTTPStatus.OK or not isinstance(found, dict):
            raise ProviderUnavailable(f"the provider answers with status {answer.status}")
        return found


async def _read_body(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_BODY:
            raise ProviderUnavailable("the provider does not stop answering")
    return body


def is_safe(address: object) -> bool:
    """Whether an address is HTTPS, or plain HTTP on loopback."""
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


def _add_query(address: str, parameters: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(parameters)}"
