"""Passwords are hashed in turns: each takes 64 MiB and a processor, beside calls."""

import asyncio
import re
import threading
from pathlib import Path

import pytest

import callcenter
from callcenter.platform.identity import passwords
from callcenter.platform.identity.passwords import AT_ONCE, Passwords

CODE = Path(callcenter.__file__).parent


def files_with(pattern: str) -> set[str]:
    return {
        str(file.relative_to(CODE))
        for file in CODE.rglob("*.py")
        if re.search(pattern, file.read_text(), re.MULTILINE)
    }


def test_who_serves_people_hashes_in_turns_only() -> None:
    """Commands are processes of their own; the portal has its own turns, for receipts."""
    own = "platform/identity/passwords.py"
    assert files_with(r"\bhash_password\(") == {own, "commands/users.py"}
    assert files_with(r"^(from|import) argon2\b") == {own, "portal/sealing.py"}


async def test_hashes_and_checks_share_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Passwords()
    working: list[str] = []
    most = 0
    enough = threading.Event()

    def work(what: str) -> str:
        nonlocal most
        working.append(what)
        most = max(most, len(working))
        enough.wait(0.05)
        working.remove(what)
        return what

    monkeypatch.setattr(passwords, "hash_password", work)
    monkeypatch.setattr(Passwords, "check", lambda _self, _hash, password: bool(work(password)))
    await asyncio.gather(
        *(turns.hash(f"hash {n}") for n in range(AT_ONCE + 1)),
        *(turns.matches(None, f"check {n}") for n in range(AT_ONCE + 1)),
    )
    assert most == AT_ONCE
