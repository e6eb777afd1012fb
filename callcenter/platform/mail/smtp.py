"""Hands messages to the configured mail server (RFC 5321)."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponse,
    SMTPResponseException,
)

from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed
from callcenter.platform.core.smtp_url import SmtpServer

SEND_TIMEOUT = 20.0  # seconds, from the connection to the server's answer
PERMANENT = 500  # from here on a reply says that a repetition helps nothing (RFC 5321, 4.2.1)

log = logging.getLogger(__name__)


class MailRefused(OperationFailed):
    """The mail server refuses this message for good."""


@dataclass(frozen=True, slots=True)
class MailMessage:
    """A message in plain text, from one address to others; no field has a line break.

    One that may be sent twice says by its own `message_id` that it is the same.
    """

    sender: str
    recipients: Sequence[str]
    subject: str
    text: str
    message_id: str = ""


async def send_mail(server: SmtpServer, message: MailMessage) -> None:
    """Hand a message to the server; it has taken it on when this returns.

    Cancelled, or failed, it may have been taken on: repeated, it may arrive twice. Raises
    MailRefused, and DependencyUnavailable for what may pass: neither has an address in its text.
    """
    client = SMTP(
        hostname=server.host,
        port=server.port,
        username=server.user,
        password=server.password,
        use_tls=server.tls,
        start_tls=server.starttls,
        local_hostname=_domain(message),
        timeout=SEND_TIMEOUT,
    )
    try:
        async with asyncio.timeout(SEND_TIMEOUT), client:
            refused = await _hand_over(client, message)
    except SMTPRecipientsRefused as exc:
        codes = sorted({each.code for each in exc.recipients})
        raise _failure(codes[0], f"all recipients refused: {codes}") from exc
    except SMTPResponseException as exc:
        raise _failure(exc.code, f"{type(exc).__name__} {exc.code}") from exc
    except (SMTPException, OSError, TimeoutError) as exc:
        raise DependencyUnavailable(f"mail not sent: {type(exc).__name__}") from exc
    if refused:
        log.error("mail refused for %d of %d recipients", len(refused), len(message.recipients))


async def _hand_over(client: SMTP, message: MailMessage) -> dict[str, SMTPResponse]:
    """Hand a message to a connected server; returns its answers about refused recipients."""
    try:
        refused, _ = await client.send_message(
            _written(message), sender=message.sender, recipients=list(message.recipients)
        )
    except asyncio.CancelledError:
        client.close()  # else the server, which is silent, is asked to say goodbye
        raise
    return refused


def _written(message: MailMessage) -> EmailMessage:
    written = EmailMessage()
    written["From"] = message.sender
    written["To"] = ", ".join(message.recipients)
    written["Subject"] = message.subject
    written["Date"] = formatdate()
    written["Message-ID"] = message.message_id or make_msgid(domain=_domain(message))
    written["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    written.set_content(message.text)
    return written


def _domain(message: MailMessage) -> str:
    return message.sender.rpartition("@")[2]


def _failure(code: int, why: str) -> OperationFailed:
    family = MailRefused if code >= PERMANENT else DependencyUnavailable
    return family(f"mail not sent: {why}")
