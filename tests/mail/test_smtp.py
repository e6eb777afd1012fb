"""Mail is handed to a real server on loopback; what it refuses, and its silence, are told apart."""

import asyncio
import ssl
from pathlib import Path

import pytest

from callcenter.launcher.port_check import free_port
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.smtp_url import SmtpServer, parse_smtp_url
from callcenter.platform.mail import smtp
from callcenter.platform.mail.smtp import MailMessage, MailRefused, send_mail
from tests.certificates import make_certificate
from tests.smtp_server import smtp_server

MESSAGE = MailMessage("111@example.kz", ("head@example.kz",), "Тревога", "Біреу қауіпте.\n")


async def test_a_message_arrives_whole_and_says_a_program_sent_it() -> None:
    async with smtp_server(login=("line", "p@ss word")) as mailbox:
        url = mailbox.url.replace("smtp://", "smtp://line:p%40ss%20word@")
        await send_mail(parse_smtp_url(url), MESSAGE)
        [message] = mailbox.messages
    assert mailbox.recipients == [["head@example.kz"]]
    assert (message["Subject"], message.get_content().splitlines()) == (
        "Тревога",
        ["Біреу қауіпте."],
    )
    assert message["Auto-Submitted"] == "auto-generated"
    assert str(message["Message-ID"]).endswith("@example.kz>")


@pytest.mark.parametrize(
    ("reply", "error"),
    [("451 try later", DependencyUnavailable), ("550 no such mailbox", MailRefused)],
)
async def test_a_refusal_is_for_good_or_for_now(reply: str, error: type[Exception]) -> None:
    async with smtp_server() as mailbox:
        mailbox.reply = reply
        with pytest.raises(error, match=reply[:3]) as raised:
            await send_mail(parse_smtp_url(mailbox.url), MESSAGE)
    assert "head@" not in str(raised.value)


async def test_a_wrong_password_is_refused() -> None:
    async with smtp_server(login=("line", "right")) as mailbox:
        url = mailbox.url.replace("smtp://", "smtp://line:wrong@")
        with pytest.raises(MailRefused) as raised:
            await send_mail(parse_smtp_url(url), MESSAGE)
    assert "wrong" not in str(raised.value)


def served_with(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("is_implicit", [True, False], ids=["implicit", "STARTTLS"])
async def test_mail_goes_by_tls_to_a_certified_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_implicit: bool
) -> None:
    certificate, key = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = served_with(certificate, key)
    offered = {"tls": context} if is_implicit else {"starttls": context}
    async with smtp_server(("line", "right"), **offered) as mailbox:
        server = SmtpServer(
            "127.0.0.1", mailbox.port, is_implicit, not is_implicit, "line", "right"
        )
        await send_mail(server, MESSAGE)
    assert mailbox.recipients == [["head@example.kz"]]


@pytest.mark.parametrize("is_implicit", [True, False], ids=["implicit", "STARTTLS"])
@pytest.mark.parametrize("wrong", ["of nobody", "of another host", "expired"])
async def test_a_wrong_certificate_gets_no_mail_nor_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, is_implicit: bool
) -> None:
    certificate, key = make_certificate(tmp_path, days=-1 if wrong == "expired" else 1)
    if wrong != "of nobody":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = served_with(certificate, key)
    offered = {"tls": context} if is_implicit else {"starttls": context}
    host = "localhost" if wrong == "of another host" else "127.0.0.1"
    async with smtp_server(("line", "right"), **offered) as mailbox:
        server = SmtpServer(host, mailbox.port, is_implicit, not is_implicit, "line", "right")
        with pytest.raises(DependencyUnavailable, match="mail not sent") as raised:
            await send_mail(server, MESSAGE)
    assert "CERTIFICATE_VERIFY_FAILED" in repr(raised.value.__cause__) + repr(
        raised.value.__cause__.__cause__ if raised.value.__cause__ else None
    )
    assert mailbox.messages == []


async def test_a_server_without_starttls_gets_no_password() -> None:
    async with smtp_server(("line", "right")) as mailbox:
        server = SmtpServer("127.0.0.1", mailbox.port, False, True, "line", "right")
        with pytest.raises(DependencyUnavailable, match="mail not sent"):
            await send_mail(server, MESSAGE)
    assert mailbox.messages == []


async def test_a_server_that_answers_nothing_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DependencyUnavailable):
        await send_mail(parse_smtp_url(f"smtp://127.0.0.1:{free_port()}"), MESSAGE)
    monkeypatch.setattr(smtp, "SEND_TIMEOUT", 0.2)
    async with smtp_server() as mailbox:
        mailbox.answers.clear()
        with pytest.raises(DependencyUnavailable):
            await send_mail(parse_smtp_url(mailbox.url), MESSAGE)


async def test_a_cancelled_sending_waits_for_no_answer() -> None:
    async with smtp_server() as mailbox:
        mailbox.answers.clear()
        sending = asyncio.create_task(send_mail(parse_smtp_url(mailbox.url), MESSAGE))
        await mailbox.arrived.wait()
        sending.cancel()
        await asyncio.wait([sending], timeout=smtp.SEND_TIMEOUT / 2)
        assert sending.cancelled()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.kz", SmtpServer("mail.kz", 587, False, True, None, None)),
        ("smtp://a:b@mail.kz:25", SmtpServer("mail.kz", 25, False, True, "a", "b")),
        ("smtps://a:b%40@mail.kz", SmtpServer("mail.kz", 465, True, False, "a", "b@")),
        ("smtp://127.0.0.1:25", SmtpServer("127.0.0.1", 25, False, False, None, None)),
    ],
)
def test_a_password_leaves_the_machine_encrypted_only(url: str, server: SmtpServer) -> None:
    assert parse_smtp_url(url) == server
    assert "b@" not in repr(parse_smtp_url(url))


@pytest.mark.parametrize(
    "url", ["mail.kz", "http://mail.kz", "smtp://a@mail.kz", "smtp://", "smtp://mail.kz:x"]
)
def test_a_mail_server_is_named_by_its_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|mail server|together"):
        parse_smtp_url(url)
