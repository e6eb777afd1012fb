"""A mail server on loopback, which keeps what it takes on; it may refuse, and be slow."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ssl import SSLContext

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class SmtpMailbox:
    """Mail that a server took on, and how it answers: `reply` to each message, once `answers`."""

    port: int = 0
    reply: str = "250 OK"
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        assert isinstance(envelope.content, bytes)
        if self.reply.startswith("2"):
            message = message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
            self.recipients.append(list(envelope.rcpt_tos))
        self.arrived.set()
        await self.answers.wait()
        return self.reply


@asynccontextmanager
async def smtp_server(
    login: tuple[str, str] | None = None,
    *,
    tls: SSLContext | None = None,
    starttls: SSLContext | None = None,
) -> AsyncIterator[SmtpMailbox]:
    """A server that answers; with `login`, only to who gives this name and password.

    It speaks TLS from the beginning, or takes mail after STARTTLS alone.
    """
    mailbox = SmtpMailbox()
    mailbox.answers.set()

    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
    ) -> AuthResult:
        assert isinstance(given, LoginPassword)
        found = (given.login.decode(), given.password.decode())
        return AuthResult(success=found == login, handled=False)

    def serve() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # that the password comes in plain
            return SMTP(
                mailbox,
                hostname="mail.example.kz",
                loop=asyncio.get_running_loop(),
                auth_required=login is not None,
                auth_require_tls=starttls is not None,
                require_starttls=starttls is not None,
                tls_context=starttls,
                authenticator=authenticate if login else None,
            )

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0, ssl=tls)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        mailbox.answers.set()
        server.close()
        await server.wait_closed()
