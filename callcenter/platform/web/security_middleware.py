"""The outermost ASGI middleware: security headers, access log, and uncaught errors."""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callcenter.platform.core.errors import TooLarge
from callcenter.platform.web.context import DONE_COOKIE
from callcenter.platform.web.page_actions import SEE_OTHER

log = logging.getLogger(__name__)


def policy(*connections: str, media: str = "") -> str:
    """The content security policy (level 3): all from us, nothing inline, forms only to us.

    Scripts connect to us alone, and to these origins. Players play from us, and from `media`.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            " ".join(("connect-src 'self'", *connections)),
            f"media-src 'self' {media}".rstrip(),
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


HEADERS = {
    "Content-Security-Policy": policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
    # Everything is personal unless its route says otherwise: not even the browser keeps it.
    "Cache-Control": "no-store",
}
CONTENT_TOO_LARGE = 413
OVER_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}


class SecurityMiddleware:
    """ASGI middleware around everything else."""

    def __init__(
        self,
        app: ASGIApp,
        render_error: Callable[[Request, Exception], Awaitable[Response]],
        answers: Counter[str],
        plain_to_see: tuple[str, ...],
    ) -> None:
        """`answers` counts the responses by kind, as in 2xx; `plain_to_see` as in WebModule."""
        self._app = app
        self._tell = render_error
        self._answers = answers
        self._plain_to_see = plain_to_see

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None

        async def protected(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.update(OVER_HTTPS)
                if self._is_done(scope, status, headers.get("location", "")):
                    secure = "; Secure" if scope["scheme"] == "https" else ""
                    done = f"{DONE_COOKIE}=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax{secure}"
                    headers.append("Set-Cookie", done)
            await send(message)

        began = time.monotonic()
        try:
            await _refusing_in_words(self._app, scope, receive, protected)
        except Exception as error:
            if status is not None:
                raise  # half an answer is sent: the server must break the connection
            response = await self._tell(Request(scope, receive), error)
            await response(scope, receive, protected)
        finally:
            self._answers[f"{(status or 500) // 100}xx"] += 1
            # The route and not the path: paths and queries hold numbers of people.
            route = getattr(scope.get("route"), "path", "-")
            took = (time.monotonic() - began) * 1000
            log.info("request answered: %s %s %s %d ms", scope["method"], route, status, took)

    def _is_done(self, scope: Scope, status: int | None, onward: str) -> bool:
        """Whether a form succeeded, which the next page must say: not after sign-in."""
        is_form = scope["method"] == "POST" and not scope["path"].startswith(self._plain_to_see)
        return is_form and status == SEE_OTHER and not onward.startswith("/sign-in")


async def _refusing_in_words(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Wrap the application to raise TooLarge instead of its bare 413.

    The framework says so in one line of English to whoever asked, and lets no handler say it.
    """
    is_refused = False

    async def sent(message: Message) -> None:
        nonlocal is_refused
        if message["type"] == "http.response.start" and message["status"] == CONTENT_TOO_LARGE:
            is_refused = Headers(raw=message["headers"])["content-type"].startswith("text/plain")
        if not is_refused:
            await send(message)

    await app(scope, receive, sent)
    if is_refused:
        raise TooLarge
