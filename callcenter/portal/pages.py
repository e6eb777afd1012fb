"""Pages of the portal (R2, R7): the form, its receipt, and the copy that this opens.

Everything works without scripts, cookies and sessions: what a page needs is in its form. Titles,
icon and addresses say nothing to whoever looks over a shoulder, or into a browser's history. The
script makes a visit one entry of that history, which leaving quickly replaces.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callcenter.platform.core.encryption import DecryptionFailed
from callcenter.platform.core.errors import N_, InvalidRequest, OperationFailed
from callcenter.platform.core.i18n import DEFAULT, LANGUAGES, Translator, choose_language
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.settings import Settings
from callcenter.portal import store
from callcenter.portal.rules import (
    RECEIPT_REFUSED,
    TOO_LONG,
    PortalForm,
    PortalMessage,
    check_message,
    read_message_id,
    read_receipt,
)
from callcenter.portal.sealing import ReceiptKey, open_copy, seal_copy, seal_message

HERE = Path(__file__).parent
#: Paths after that of the language, of pages that can be shown in the other one.
PATHS = {"safety.html": "/s", "open.html": "/r", "own.html": "/r"}
FORM_TYPE = "application/x-www-form-urlencoded"
FORM_SIZE_LIMIT = 256 * 1024  # bytes: the longest message, of letters that take twelve each
RECEIPT_SIZE_LIMIT = 4 * 1024  # bytes: number and words
#: Larger forms than this, in bytes, which may come slowly, are taken so many at a time: all that
#: the server has connections for would not fit into its memory.
LARGE_FORM, LARGE_AT_ONCE = 32 * 1024, 200
FIELD_LIMIT = 10  # fields of a form
#: Keys that are made of receipts at once, each of which takes a processor and 19 MiB: for those who
#: get one, and apart from them for those who open one, who may be guessing.
GIVEN_AT_ONCE, OPENED_AT_ONCE = 2, 1
OPENING_LIMIT = 50  # who wait to open one; it is a second's work
STATIC_TYPES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

STAGES = {
    "registered": N_("It is registered."),
    "in_work": N_("Consultants work on it."),
    "forwarded": N_("A state body has it now, and answers."),
    "answered": N_("There is an answer: call 111 to learn it."),
    "closed": N_("It is closed."),
}
NOT_NOW = N_("It did not work just now. Your words are still here: send them again.")
FAILED = N_("It did not work just now: try again, or call 111.")
NO_PAGE = N_("There is nothing at this address.")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Other pages, and ours, learn nothing of where somebody comes from.
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
    # Nothing that was typed or shown stays on the device.
    "Cache-Control": "no-store",
}
#: Browsers hold whole pages for their button Back, whatever Cache-Control says (Chrome since 2025):
#: this has them let go of ours.
FORGET = {"Clear-Site-Data": '"cache"'}
OVER_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}

log = logging.getLogger(__name__)


def portal_application(settings: Settings, engine: AsyncEngine) -> ASGIApp:
    """The pages of the portal, which answer to their own host name alone.

    Raises OperationFailed when a translation cannot be read.
    """
    pages = PortalPages(settings, engine)
    host = Middleware(TrustedHostMiddleware, allowed_hosts=[settings.portal_host])
    app = Starlette(
        routes=[
            Route("/", pages.show_safety),
            Route("/x", pages.leave, methods=["POST"]),
            Route("/x/{written:uuid}", pages.leave, methods=["POST"]),
            *(Route(f"/{name}", pages.show_static) for name in STATIC_TYPES),
            *(route for language in CALLER_LANGUAGES for route in pages.routes(f"/{language}")),
        ],
        middleware=[host],
        exception_handlers={HTTPException: pages.show_error, Exception: pages.show_failure},
    )
    return PortalMiddleware(app)


class PortalMiddleware:
    """The outermost ASGI middleware: headers of every answer, and the access log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, began = 500, time.monotonic()

        async def protected(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.update(OVER_HTTPS)
            await send(message)

        try:
            await self._app(scope, receive, protected)
        finally:
            # Neither address nor path: nobody can be found by what is logged.
            took = (time.monotonic() - began) * 1000
            log.info("request answered: %s %s %d ms", scope["method"], status, took)


class PortalPages:
    """Handlers of the pages."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._words = {language: Translator(language) for language in CALLER_LANGUAGES}
        self._static = {name: (HERE / "static" / name).read_bytes() for name in STATIC_TYPES}
        self._giving = asyncio.Semaphore(GIVEN_AT_ONCE)
        self._opening = asyncio.Semaphore(OPENED_AT_ONCE)
        self._places = asyncio.Semaphore(OPENING_LIMIT)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self, path: str) -> list[Route]:
        """The routes of one language."""
        form, receipt = path, f"{path}/r"
        return [
            Route(form, self.show_form),
            Route(form, self.send, methods=["POST"]),
            Route(receipt, self.show_receipt_form),
            Route(receipt, self.open, methods=["POST"]),
            Route(f"{path}/s", self.show_safety),
        ]

    async def show_static(self, request: Request) -> Response:
        """Style, script and icon, which browsers may keep: they are of no page in particular."""
        name = request.url.path.removeprefix("/")
        headers = {"Cache-Control": "max-age=3600"}
        return Response(self._static[name], media_type=STATIC_TYPES[name], headers=headers)

    async def show_safety(self, request: Request) -> Response:
        """Say how to leave quickly and what that does not do, before anything is written."""
        return self._page(request, "safety.html")

    async def leave(self, request: Request) -> Response:
        """Note that somebody left quickly; the browser is on the other page already."""
        written: UUID | None = request.path_params.get("written")
        if written is not None:
            try:
                await store.note_exit(self._engine, written)
            except (OperationFailed, SQLAlchemyError, OSError) as exc:
                log.error("exit not noted: %s", type(exc).__name__)
        return Response(status_code=204, headers=FORGET)

    async def show_form(self, request: Request) -> Response:
        """Show an empty form."""
        return self._form(request, PortalForm.new(), defaultdict(str))

    async def send(self, request: Request) -> Response:
        """Store what was written and show its receipt. Sent again it is the same.

        Or `show` it in another language.
        """
        typed = await self._read_form(request, FORM_SIZE_LIMIT)
        form = PortalForm.of(typed["form"])
        if typed["show"]:
            return self._form(request, form, typed)
        message = PortalMessage(language_of(request), typed["text"], bool(typed["danger"]))
        try:
            check_message(message)
            number = await self._store(form, message)
        except InvalidRequest as exc:
            return self._form(request, form, typed, str(exc), 400)
        except (OperationFailed, SQLAlchemyError, OSError) as exc:
            log.error("message not stored: %s", type(exc).__name__)
            return self._form(request, form, typed, NOT_NOW, 503)
        words = form.secret.words(message.language)
        return self._page(
            request, "receipt.html", number=number, receipt_words=words, written=form.id
        )

    async def show_receipt_form(self, request: Request) -> Response:
        """Ask for a receipt."""
        return self._page(request, "open.html", typed=defaultdict(str), refusal=None)

    async def open(self, request: Request) -> Response:
        """Show what was written to whoever has its receipt, unless too many ask at once."""
        typed = await self._read_form(request, RECEIPT_SIZE_LIMIT)
        if self._places.locked():
            return self._page(request, "open.html", 503, typed=typed, refusal=FAILED)
        try:
            opened, has_older = await self._open(typed["number"], typed["words"], typed["older"])
        except InvalidRequest as exc:
            return self._page(request, "open.html", 400, typed=typed, refusal=str(exc))
        except (OperationFailed, SQLAlchemyError, OSError) as exc:
            log.error("copies not read: %s", type(exc).__name__)
            return self._page(request, "open.html", 503, typed=typed, refusal=FAILED)
        return self._page(
            *(request, "own.html"),
            copies=opened,
            typed=typed,
            has_older=has_older,
            stages=STAGES,
            written=opened[-1][0].message_id,
        )

    async def show_error(self, request: Request, exc: Exception) -> Response:
        """Say what the framework refuses, on a page like the others."""
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        message = {404: NO_PAGE, 413: TOO_LONG}.get(status, FAILED)
        return self._page(request, "error.html", status, message=message)

    async def show_failure(self, request: Request, _exc: Exception) -> Response:
        """Say that we failed, after what the log has already."""
        return self._page(request, "error.html", 500, message=FAILED)

    async def _store(self, form: PortalForm, message: PortalMessage) -> str:
        """The number of the message, once that and the copy of its writer are stored.

        Killed in between, the message is there, and the form that is sent again gets its receipt.
        """
        number, message_id = await self._receive(form, message)
        async with self._giving:
            key = await asyncio.to_thread(ReceiptKey.derive, number, form.secret)
        copy = await asyncio.to_thread(seal_copy, message_id, message, key)
        if not await store.give_receipt(self._engine, message_id, key, copy):
            raise OperationFailed("the message has another receipt, or its copy was erased")
        return number

    async def _receive(self, form: PortalForm, message: PortalMessage) -> tuple[str, UUID]:
        """Store the message, under the first id that is not over; its number and id."""
        number, ids = None, form.message_ids(message)
        while number is None:
            message_id = next(ids)
            sealed = await asyncio.to_thread(seal_message, self._settings, message_id, message)
            number = await store.receive(
                self._engine, form.id, message_id, sealed, is_urgent=message.is_urgent
            )
        return number, message_id

    async def _open(
        self, typed_number: str, typed_words: str, older_than: str
    ) -> tuple[list[tuple[store.StoredCopy, PortalMessage]], bool]:
        """The newest messages of a receipt, opened, and whether there are older ones.

        Older than a message, if its id is given. Raises InvalidRequest when there are none.
        """
        number, secret = read_receipt(typed_number, typed_words)
        shown = read_message_id(older_than)
        async with self._places, self._opening:
            key = await asyncio.to_thread(ReceiptKey.derive, number, secret)
            copies, has_older = await store.read_copies(self._engine, number, key, shown)
            if not copies:
                raise InvalidRequest(RECEIPT_REFUSED)
            try:
                messages = await asyncio.to_thread(_open_copies, copies, key)
            except DecryptionFailed as exc:
                raise InvalidRequest(RECEIPT_REFUSED) from exc
        return list(zip(copies, messages, strict=True)), has_older

    async def _read_form(self, request: Request, limit: int) -> Mapping[str, str]:
        """The texts of a form of at most so many bytes, empty where there is none.

        Raises HTTPException for what no page of ours sends, for what is cut off, and when too many
        large ones come at once. What comes in chunks may have any length, whatever is said beside
        it (RFC 9112, 6.1); of another the server takes what is said and no more.
        """
        is_chunked = "transfer-encoding" in request.headers
        kind, length = (request.headers.get(f"content-{each}", "") for each in ("type", "length"))
        if kind.partition(";")[0] != FORM_TYPE or is_chunked or not length.isdecimal():
            raise HTTPException(400)
        if int(length) > limit:
            raise HTTPException(413)
        is_large = int(length) > LARGE_FORM
        if is_large and self._large.locked():
            raise HTTPException(503)
        turn: AbstractAsyncContextManager[None] = self._large if is_large else nullcontext()
        try:
            async with turn:
                sent = await request.form(max_fields=FIELD_LIMIT)
        except ClientDisconnect as exc:
            raise HTTPException(400) from exc
        return defaultdict(str, {name: str(value) for name, value in sent.items()})

    def _form(
        self,
        request: Request,
        form: PortalForm,
        typed: Mapping[str, str],
        refusal: str | None = None,
        status: int = 200,
    ) -> Response:
        return self._page(
            *(request, "form.html", status),
            token=form.token,
            typed=typed,
            refusal=refusal,
            written=form.id,
        )

    def _page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        written: UUID | None = None,
        **values: object,
    ) -> Response:
        """A page, left from which it is noted for what was `written`, if anything was sent."""
        language = language_of(request)
        content = self._templates.get_template(template).render(
            _=self._words[language],
            language=language,
            languages={each: LANGUAGES[each] for each in CALLER_LANGUAGES},
            path=PATHS.get(template, ""),
            exit_url=self._settings.portal_exit_url,
            written=written,
            **values,
        )
        headers = {"Content-Language": language, "Vary": "Accept-Language"}
        return HTMLResponse(content, status, headers)


def _open_copies(copies: Sequence[store.StoredCopy], key: ReceiptKey) -> list[PortalMessage]:
    return [open_copy(each.message_id, each.locked, each.sealed, key) for each in copies]


def language_of(request: Request) -> str:
    """The language that the address names, else the browser's, else Kazakh."""
    named = request.url.path.split("/")[1]
    language = choose_language(named, request.headers.get("accept-language", ""))
    return language if language in CALLER_LANGUAGES else DEFAULT
