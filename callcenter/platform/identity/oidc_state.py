"""State, nonce and PKCE verifier that bind an OIDC sign-in to its browser.

All three come of the secret that the browser has in its cookie, so nothing is kept, and an answer
that another browser was made to bring is refused. After an answer the browser gets a new secret:
the same answer does not count twice. Rules only.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from callcenter.platform.core.errors import InvalidRequest

#: Time to sign in at the provider.
SIGN_IN_TIMEOUT = timedelta(minutes=10)

_MAC = 32  # bytes of SHA-256


def new_state(token: str, back: str, now: datetime) -> str:
    """A state for this browser, with the address to go to in the end."""
    said = f"{int(now.timestamp())} {secrets.token_urlsafe(12)} {back}".encode()
    return base64.urlsafe_b64encode(_mac(token, b"state", said) + said).decode()


def back_of(token: str, state: str, now: datetime) -> str:
    """The address to return to.

    Raises InvalidRequest for the state of another browser, or an old one.
    """
    if not token:  # else anybody could make a state for a browser without a cookie
        raise InvalidRequest("this browser began no sign-in")
    try:
        whole = base64.urlsafe_b64decode(state.encode())
    except ValueError as exc:
        raise InvalidRequest("this is no state of ours") from exc
    mac, said = whole[:_MAC], whole[_MAC:]
    if not hmac.compare_digest(mac, _mac(token, b"state", said)):
        raise InvalidRequest("this sign-in was begun in another browser, or was used")
    moment, _, back = said.decode().split(" ", 2)
    if now.timestamp() - int(moment) > SIGN_IN_TIMEOUT.total_seconds():
        raise InvalidRequest("this sign-in took too long")
    return back


def nonce_of(token: str, state: str) -> str:
    """The nonce that the ID token must repeat, so that it is of this sign-in."""
    return _mac(token, b"nonce", state.encode()).hex()


def verifier_of(token: str, state: str) -> str:
    """The PKCE verifier (RFC 7636)."""
    return _mac(token, b"verifier", state.encode()).hex()


def _mac(token: str, purpose: bytes, said: bytes) -> bytes:
    return hmac.new(token.encode(), purpose + b"\0" + said, hashlib.sha256).digest()
