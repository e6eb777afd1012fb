"""Files attached to an appeal: judged by their bytes, encrypted, checked for viruses, opened."""

import asyncio
import hashlib
import io
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.followup import attachments
from callcenter.appeals.followup.attachment_scanning import (
    SCAN_ALERT_AFTER,
    UPLOAD_TIMEOUT,
    scan_attachments,
)
from callcenter.appeals.rules.filetypes import TYPES, clean_name, recognize
from callcenter.bootstrap.web import application
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage import antivirus
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import ObjectStoreUnavailable
from callcenter.recordings.sealing.sealed_store import SealedStore
from tests.streams import stream_server
from tests.web.browser import form_token
from tests.web.conftest import Call, Enter, browse

CLAMD = "/usr/sbin/clamd"
# In two halves, or a scanner takes this file for the virus that it only looks like.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-" + rb"ANTIVIRUS-TEST-FILE!$H+H*"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"


async def attach(
    client: httpx.AsyncClient, number: str, name: str, content: bytes
) -> httpx.Response:
    """Attach a file by the API."""
    token = await form_token(client, "/appeals/0")
    return await client.post(
        f"/api/v1/appeals/{number}/attachments",
        data={"form_token": token},
        files={"file": (name, content)},
    )


def office(*parts: str) -> bytes:
    """A document as an office makes it: a ZIP with these parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for part in ("[Content_Types].xml", *parts):
            made.writestr(part, "<a/>")
    return file.getvalue()


def open_document(said: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("mimetype", said)
    return file.getvalue()


ZEROS = b"\0" * 60
GOOD = {
    "pdf": PDF,
    "jpg": bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + ZEROS + b"\xff\xd9",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + ZEROS,
    "gif": b"GIF89a" + ZEROS,
    "tif": b"II*\0\x08\0\0\0" + ZEROS,
    "webp": b"RIFF\x24\0\0\0WEBPVP8 " + ZEROS,
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + ZEROS,
    "docx": office("word/document.xml"),
    "xlsx": office("xl/workbook.xml"),
    "odt": open_document("application/vnd.oasis.opendocument.text"),
    "ods": open_document("application/vnd.oasis.opendocument.spreadsheet"),
    "doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
    "rtf": b"{\\rtf1\\ansi hello}",
    "txt": "Күйеуі ұрады, көмектесіңіз".encode(),
    "mp3": b"ID3\x03\0\0\0\0\0\0" + ZEROS,
    "wav": b"RIFF\x24\0\0\0WAVEfmt " + ZEROS,
    "ogg": b"OggS\0\2" + b"\0" * 22 + b"\x01\x13OpusHead" + ZEROS,
    "m4a": b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + ZEROS,
    "amr": b"#!AMR\n" + ZEROS,
    "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + ZEROS,
    "mov": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + ZEROS,
    "3gp": b"\0\0\0\x18ftyp3gp4\0\0\0\0isom3gp4" + ZEROS,
}
BAD = {
    "program": b"MZ" + b"\0" * 200,
    "linux program": b"\x7fELF\2\1\1" + ZEROS,
    "script": b"#!/bin/sh\nrm -rf /\n",
    "page": b"<html><script>alert(1)</script></html>",
    "drawing": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "archive": office("virus.exe"),
    "macros": office("word/document.xml", "word/vbaProject.bin"),
    "broken zip": b"PK\3\4" + ZEROS,
    "noise": bytes(range(128, 256)) * 3,
}


@pytest.mark.parametrize("ending", TYPES)
def test_what_is_taken_follows_from_its_bytes(ending: str) -> None:
    assert recognize(GOOD[ending]) == ending


@pytest.mark.parametrize("what", BAD)
def test_nothing_else_is_taken(what: str) -> None:
    with pytest.raises(InvalidRequest):
        recognize(BAD[what])


@given(st.binary(max_size=300) | st.binary(max_size=300).map(b"PK\3\4".__add__))
def test_any_bytes_are_of_an_accepted_type_or_refused(content: bytes) -> None:
    with suppress(InvalidRequest):
        assert recognize(content) in TYPES


@given(st.text())
def test_no_name_does_harm(written: str) -> None:
    name = clean_name(written, "pdf")
    assert re.fullmatch(r"[\w ,()№+-][\w .,()№+-]*\.pdf", name)
    assert len(name) <= 110
    assert name.isprintable()


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Справка о доходах.PDF", "Справка о доходах.pdf"),
        ("../../etc/passwd", "passwd.pdf"),
        ("C:\\Users\\me\\fine.exe", "fine.pdf"),
        ('x"\r\nSet-Cookie: a=b.pdf', "x Set-Cookie a b.pdf"),
        ("invoice\u202efdp.exe", "invoice fdp.pdf"),
        ("...", "file.pdf"),
        ("", "file.pdf"),
    ],
)
def test_names_are_cleaned(written: str, stored: str) -> None:
    assert clean_name(written, "pdf") == stored


async def states(engine: AsyncEngine) -> list[str]:
    async with unit_of_work(engine) as connection:
        found = await connection.execute(text("SELECT state FROM record_attachment ORDER BY at"))
        return list(found.scalars())


async def actions(engine: AsyncEngine) -> list[str]:
    async with unit_of_work(engine) as connection:
        found = await connection.execute(text("SELECT action FROM audit_entry ORDER BY id"))
        return [each for each in found.scalars() if ":attachment:" in each]


async def test_a_file_is_stored_encrypted_and_opened_with_an_entry(
    head: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, call: Call
) -> None:
    made = await attach(head, call.number, "../Паспорт Сейтовой.exe", PDF)
    assert made.status_code == 200
    reported = made.json()
    assert (reported["name"], reported["type"], reported["state"]) == (
        "Паспорт Сейтовой.pdf",
        "pdf",
        "kept",
    )
    page = (await head.get(f"/appeals/{call.number}")).text
    assert "Паспорт Сейтовой.pdf" in page
    address = f"/appeals/{call.number}/attachments/{reported['id']}"
    for path in (address, f"/api/v1{address}"):
        opened = await head.get(path)
        assert opened.content == PDF
        assert opened.headers["content-type"] == "application/pdf"
        assert opened.headers["content-disposition"].startswith('attachment; filename="file.pdf"')
        assert opened.headers["x-content-type-options"] == "nosniff"
        assert opened.headers["content-security-policy"] == "sandbox"
    assert await actions(engine) == ["web:attachment:added", *["web:attachment:read"] * 2]
    [file] = [each for each in (settings.recordings / "attachments").rglob("*") if each.is_file()]
    assert file.read_bytes().startswith(b"age-encryption.org/v1")
    assert "Паспорт" not in file.name
    async with unit_of_work(engine) as connection:
        everything = str(
            [tuple(row) for row in await connection.execute(text("TABLE record_attachment"))]
        )
    assert "Паспорт" not in everything


async def test_a_refused_file_is_explained_and_not_stored(
    head: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, call: Call
) -> None:
    large = b"%PDF-1.7\n" + b"\0" * (settings.attachment_limit * 1024**2)
    for content in (b"", BAD["program"], large):
        refused = await attach(head, call.number, "fine.pdf", content)
        assert refused.status_code == 400
        assert refused.json()["detail"]
    assert (await attach(head, call.number, "a.pdf", b"%" * 52 * 1024**2)).status_code == 413
    token = await form_token(head, f"/appeals/{call.number}")
    sent: dict[str, Any] = {"data": {"form_token": token}, "files": {"file": ("a", BAD["page"])}}
    page = await head.post(f"/appeals/{call.number}/attachments", **sent)
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert await states(engine) == []


async def test_the_same_file_sent_again_is_there_once(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    first, second = [(await attach(head, call.number, "a.pdf", PDF)).json() for _ in range(2)]
    assert first["id"] == second["id"]
    assert await states(engine) == ["kept"]


async def test_a_file_opens_for_its_appeal_and_the_permitted(
    head: httpx.AsyncClient, enter: Enter, call: Call
) -> None:
    made = (await attach(head, call.number, "a.pdf", PDF)).json()
    token = await form_token(head, "/new-appeal")
    other = await head.post(
        "/new-appeal",
        data={
            "form_token": token,
            "channel": "email",
            "language": "kk",
            "received_at": "2026-11-20T10:15",
        },
    )
    number = other.headers["location"].split("/")[2]
    assert (await head.get(f"/appeals/{number}/attachments/{made['id']}")).status_code == 404
    async with enter(Role.AUDITOR) as auditor:
        answer = await auditor.get(f"/appeals/{call.number}/attachments/{made['id']}")
        assert answer.status_code == 403


async def test_a_crash_between_file_and_row_loses_nothing(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = attachments.store_content

    def and_die(settings: Settings, identity: UUID, content: bytes) -> None:
        put(settings, identity, content)
        raise ObjectStoreUnavailable("killed after the file was put")

    def die(settings: Settings, identity: UUID, content: bytes) -> None:
        raise ObjectStoreUnavailable("killed before")

    for name, content, how in (("whole.pdf", PDF, and_die), ("lost.txt", b"word", die)):
        monkeypatch.setattr(attachments, "store_content", how)
        assert (await attach(head, call.number, name, content)).status_code == 500
    assert await states(engine) == ["arriving", "arriving"]
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    await scan_attachments(tools, redis, now)  # they may be on their way yet
    assert await states(engine) == ["arriving", "arriving"]
    await scan_attachments(tools, redis, now + UPLOAD_TIMEOUT + timedelta(seconds=1))
    assert await states(engine) == ["kept", "failed"]
    page = (await head.get(f"/appeals/{call.number}")).text
    assert "whole.pdf" in page
    assert "lost.txt" in page


async def test_the_same_bytes_complete_an_interrupted_upload(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(settings: Settings, identity: UUID, content: bytes) -> None:
        raise ObjectStoreUnavailable("killed before")

    with monkeypatch.context() as patched:
        patched.setattr(attachments, "store_content", die)
        assert (await attach(head, call.number, "a.pdf", PDF)).status_code == 500
    assert await states(engine) == ["arriving"]
    sent = (await attach(head, call.number, "a.pdf", PDF)).json()
    assert await states(engine) == ["kept"]
    assert (await head.get(f"/appeals/{call.number}/attachments/{sent['id']}")).content == PDF


@pytest.fixture(scope="session")
def virus_scanner(short_folder: Path) -> Iterator[str]:
    """The address of Debian's clamd, with one signature of its own: nothing is downloaded."""
    if shutil.which(CLAMD) is None:
        pytest.skip("no clamd on this machine: apt-get install clamav-daemon")
    folder = short_folder / "clamd"
    (folder / "db").mkdir(parents=True)
    (folder / "db" / "test.ndb").write_text(f"Eicar-Test:0:0:{EICAR.hex()}\n")
    config = folder / "clamd.conf"
    config.write_text(
        f"LocalSocket {folder}/s\nDatabaseDirectory {folder}/db\nForeground yes\n"
        "StreamMaxLength 1M\n"
    )
    with subprocess.Popen([CLAMD, "-c", config], stdout=subprocess.DEVNULL) as run:
        try:
            deadline = time.monotonic() + 30
            while not (folder / "s").exists():
                assert run.poll() is None, "clamd has ended"
                assert time.monotonic() < deadline, "clamd made no socket in 30 s"
                time.sleep(0.02)
            yield f"unix:{folder}/s"
        finally:
            run.terminate()


async def test_what_clamd_says_is_understood(virus_scanner: str) -> None:
    assert await antivirus.scan(virus_scanner, PDF) == antivirus.Verdict(clean=True)
    infected = await antivirus.scan(virus_scanner, EICAR)
    assert not infected.clean
    assert "Eicar-Test" in infected.why
    too_large = await antivirus.scan(virus_scanner, b"\0" * 3 * 1024**2)
    assert not too_large.clean


async def test_an_infected_file_is_quarantined_a_clean_one_stored(
    settings: Settings,
    engine: AsyncEngine,
    redis: Redis,
    enter: Enter,
    call: Call,
    virus_scanner: str,
) -> None:
    scanned = settings.model_copy(update={"clamd": virus_scanner})
    async with enter(Role.HEAD) as head, browse(application(scanned, engine, redis)) as client:
        client.cookies = head.cookies
        names = {"bad.txt": EICAR, "good.pdf": PDF, "huge.png": GOOD["png"] + b"\0" * 2 * 1024**2}
        made = {name: await attach(client, call.number, name, each) for name, each in names.items()}
        paths = {
            name: f"/appeals/{call.number}/attachments/{answer.json()['id']}"
            for name, answer in made.items()
        }
        assert [answer.json()["state"] for answer in made.values()] == ["waiting"] * 3
        # Nobody opens a file before it was looked at.
        assert [(await client.get(path)).status_code for path in paths.values()] == [404] * 3
        await scan_attachments(WorkerResources(scanned, engine), redis, datetime.now(UTC))
        assert await states(engine) == ["aside", "kept", "aside"]
        assert (await client.get(paths["good.pdf"])).content == PDF
        assert (await client.get(paths["bad.txt"])).status_code == 404
        page = (await client.get(f"/appeals/{call.number}")).text
        assert "Eicar-Test" in page
    assert await redis.hget("desk:alarm_counts", "attachment_aside") in (b"2", "2")


async def test_while_clamd_is_unavailable_files_wait_and_somebody_is_alerted(
    settings: Settings, engine: AsyncEngine, redis: Redis, enter: Enter, call: Call
) -> None:
    absent = settings.model_copy(update={"clamd": "unix:/nonexistent/clamd"})
    async with enter(Role.HEAD) as head, browse(application(absent, engine, redis)) as client:
        client.cookies = head.cookies
        await attach(client, call.number, "a.pdf", PDF)
    tools, now = WorkerResources(absent, engine), datetime.now(UTC)
    await scan_attachments(tools, redis, now)
    assert await states(engine) == ["waiting"]
    assert await redis.llen("desk:alarms") == 0
    for _ in range(2):
        await scan_attachments(tools, redis, now + SCAN_ALERT_AFTER + timedelta(minutes=1))
    assert await redis.hget("desk:alarm_counts", "attachment_waits") in (b"1", "1")


async def test_something_else_at_the_address_is_no_verdict(tmp_path: Path) -> None:
    async def gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n")

    address = tmp_path / "s"
    async with stream_server(gibberish, address):
        with pytest.raises(DependencyUnavailable):
            await antivirus.scan(f"unix:{address}", PDF)
    with pytest.raises(InvalidRequest):
        await antivirus.scan("http://somewhere", PDF)


def test_the_seal_is_that_of_recordings(settings: Settings, call: Call) -> None:
    identity = UUID(int=1)
    attachments.store_content(settings, identity, PDF)
    with SealedStore(settings).open(attachments.object_name(identity)) as opened:
        assert hashlib.sha256(opened.read()).digest() == hashlib.sha256(PDF).digest()
