"""A withheld number: where it is read, that only its own appeal opens it, and who may see it."""

import asyncio
import logging
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from pydantic import ValidationError

from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.age import Altered, WrongKey
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.callers.sealed_numbers.opening import open_number
from callcenter.telephony.callers.sealed_numbers.rules import (
    OPENING_LIMIT,
    find_number,
    why_not_opened,
)
from callcenter.telephony.callers.sealed_numbers.sealing import seal_number
from callcenter.telephony.calls.call_state import CallState
from callcenter.telephony.calls.journal.call_record import CallRecord
from callcenter.telephony.calls.journal.codec import encode
from callcenter.telephony.calls.journal.events import Entry, NumberSealed
from callcenter.telephony.calls.ports import LegHungUp
from callcenter.telephony.controller.number_sealer import NumberSealer

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NUMBER = "+77010009917"


@pytest.mark.parametrize(
    ("headers", "number"),
    [
        ((f"<sip:{NUMBER}@192.0.2.1>", "", "<sip:anonymous@anonymous.invalid>"), NUMBER),
        (('"<x>" <tel:87010009917>', "", ""), NUMBER),
        (("<tel:87010009917>, <sip:87010009918@192.0.2.1>", "", ""), NUMBER),
        (("", f'"A" <sip:{NUMBER}@192.0.2.1>;privacy=full', "sip:anonymous@h"), NUMBER),
        (("", "", f'"Anonymous" <sip:{NUMBER}@192.0.2.1>;tag=1'), NUMBER),
        (("", "", "<sip:anonymous@anonymous.invalid>;tag=1"), None),
        (("${SHELL(id)}", "<<>>", ""), None),
    ],
)
def test_a_withheld_number_is_read_from_the_surest_header(
    headers: tuple[str, ...], number: str | None
) -> None:
    assert find_number(headers) == number


def test_a_sealed_number_is_opened_for_its_appeal_alone(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    public, appeal = keys.make(here), uuid4()
    keys.make(elsewhere)
    sealed = seal_number(appeal, NUMBER, [public])
    assert NUMBER.encode() not in sealed
    keys.make(here)  # a rotation
    assert open_number(here, appeal, sealed) == NUMBER
    with pytest.raises(Altered):
        open_number(here, uuid4(), sealed)
    with pytest.raises(Altered):
        open_number(here, appeal, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(WrongKey):
        open_number(elsewhere, appeal, sealed)


def test_no_number_is_stored_until_a_legal_basis_is_named() -> None:
    assert Settings(_env_file=None).trace_legal_basis is None
    with pytest.raises(ValidationError, match="name the key to which withheld numbers"):
        Settings(_env_file=None, trace_legal_basis="Law 000-V, article 1")
    with pytest.raises(ValidationError, match="at least 10 characters"):
        Settings(_env_file=None, trace_legal_basis="yes")


def test_empty_trace_settings_mean_that_none_is_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("TRACE_LEGAL_BASIS", "TRACE_KEY", "TRACE_HOURS", "RECOVERY_KEYS"):
        monkeypatch.setenv(f"CALLCENTER_{name}", "")
    settings = Settings(_env_file=None)
    assert (settings.trace_legal_basis, settings.trace_key) == (None, None)
    assert (settings.trace_hours, settings.recovery_keys) == (72, ())


@pytest.mark.parametrize("name", ["TRACE_KEY", "RECOVERY_KEYS"])
def test_a_mistyped_public_key_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    key = keys.make(tmp_path)
    mistyped = key[:-1] + ("q" if key[-1] != "q" else "p")
    monkeypatch.setenv(f"CALLCENTER_{name}", mistyped if name == "TRACE_KEY" else f'["{mistyped}"]')
    with pytest.raises(InvalidRequest, match=rf"CALLCENTER_{name}.*copy it whole"):
        read_settings()


@pytest.mark.parametrize(
    ("state", "who", "age", "why"),
    [
        ("approved", "user:a", timedelta(), None),
        ("approved", "user:b", timedelta(), None),
        ("approved", "user:c", timedelta(), "stranger"),
        ("approved", "user:a", OPENING_LIMIT, "late"),
        ("opened", "user:a", timedelta(), "opened"),
        ("refused", "user:a", timedelta(), "refused"),
        ("asked", "user:a", timedelta(), "asked"),
    ],
)
def test_one_of_the_two_opens_once_within_a_day(
    state: str, who: str, age: timedelta, why: str | None
) -> None:
    assert why_not_opened(state, ("user:a", "user:b"), who, NOW - age, NOW) == why


@dataclass
class Invite:
    """A channel whose caller withholds the number; counts what is asked of it."""

    id: str = "1764230400.1"
    read: list[str] = field(default_factory=list)
    failure: Exception | None = None

    async def read_header(self, name: str) -> str:
        self.read.append(name)
        if self.failure is not None:
            raise self.failure
        return f"<sip:{NUMBER}@192.0.2.1>" if name == "P-Asserted-Identity" else ""


@dataclass
class Alerts:
    """Alerts of supervisors in a list."""

    all: list[str] = field(default_factory=list)

    async def not_sealed(self, call_id: str, why: str) -> None:
        self.all.append(f"{call_id}: {why}")


@dataclass
class Entries:
    """A journal in a list."""

    all: list[Entry] = field(default_factory=list)

    def append(self, entry: Entry) -> None:
        self.all.append(entry)

    def save_call_state(self, leg: str, state: CallState | None) -> None: ...

    async def append_durably(self, entry: Entry) -> None: ...


@pytest.mark.parametrize(("is_on", "caller"), [(False, None), (True, None), (True, NUMBER)])
async def test_a_controller_seals_only_withheld_numbers_with_a_basis(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_on: bool, caller: str | None
) -> None:
    caplog.set_level(logging.DEBUG)
    basis = "Law 000-V, article 1" if is_on else None
    settings = Settings(_env_file=None, trace_legal_basis=basis, trace_key=keys.make(tmp_path))
    invite, entries, appeal = Invite(), Entries(), uuid4()
    record = CallRecord(entries, appeal)
    alerts = Alerts()
    sealer = NumberSealer(settings, alerts.not_sealed)
    sealer.begin(cast(Channel, invite), record, parse_caller_id(caller))
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert alerts.all == []
    if not is_on or caller:
        assert (invite.read, entries.all) == ([], [])
        return
    [entry] = entries.all
    assert isinstance(entry, NumberSealed)
    assert open_number(tmp_path, appeal, b64decode(entry.sealed)) == NUMBER
    assert timedelta(hours=71) < entry.until - datetime.now(UTC) <= timedelta(hours=72)
    assert NUMBER.removeprefix("+").encode() not in encode(entry)
    assert NUMBER.removeprefix("+") not in caplog.text


@pytest.mark.parametrize(
    ("failure", "key", "alerts"),
    [
        (None, f"age1{'0' * 58}", ["1764230400.1: RecipientError"]),
        (DependencyUnavailable("ARI is away"), None, ["1764230400.1: ARI is away"]),
        (ValueError(NUMBER), None, ["1764230400.1: ValueError"]),
        (LegHungUp("channel 1764230400.1 hung up"), None, []),
    ],
)
async def test_a_number_that_cannot_be_sealed_alerts_supervisors(
    tmp_path: Path, failure: Exception | None, key: str | None, alerts: list[str]
) -> None:
    named = Settings(
        _env_file=None, trace_legal_basis="Law 000-V, article 1", trace_key=keys.make(tmp_path)
    )
    settings = named.model_copy(update={"trace_key": key}) if key else named
    entries, alerted = Entries(), Alerts()
    sealer = NumberSealer(settings, alerted.not_sealed)
    invite = cast(Channel, Invite(failure=failure))
    sealer.begin(invite, CallRecord(entries, uuid4()), parse_caller_id(None))
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert (alerted.all, entries.all) == (alerts, [])
