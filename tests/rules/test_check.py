"""What `callcenter check` says of the machine."""

import shutil
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from callcenter.cli import callcenter
from callcenter.commands.check import CHECKS, GIB, examine, look_at_calendar, look_at_room
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.core.working_calendar import parse
from callcenter.recordings.sealing import keys
from tests.certificates import make_certificate


def test_each_check_stands_once_under_its_subject(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_VAR", str(settings.var))
    missing = "postgresql://postgres@/none?host=/nowhere"
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", missing)
    listed = CliRunner().invoke(callcenter, ["check"]).output.splitlines()
    subjects = [line for line in listed if not line.startswith(" ")]
    assert subjects == ["servers", "telephone", "portal", "recordings", "register", "security"]
    lines = [line.split(maxsplit=2) for line in listed if line.startswith(" ")]
    assert {state for state, *_ in lines} <= {"ok", "warn", "BAD"}
    assert [name for _, name, words in lines if "cannot reach the database" in words] == [
        "database"
    ]
    assert ["BAD", "roster", "as database"] in lines


@pytest.mark.parametrize("key", ["OIDC_ROLES", "RETENTION_DAYS", "TELEPHONE_NETWORKS"])
def test_a_setting_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(f"CALLCENTER_{key}", "[a secret")
    with pytest.raises(InvalidRequest) as refused:
        read_settings()
    assert str(refused.value).startswith(f"wrong setting: CALLCENTER_{key}: no JSON: ")
    assert "a secret" not in str(refused.value)


def test_a_file_of_settings_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Settings.model_config, "env_file", "/proc/self/mem")  # not from its start
    with pytest.raises(InvalidRequest, match="cannot read the settings in /proc/self/mem"):
        read_settings()


@pytest.mark.parametrize(("free", "state"), [(1, "BAD"), (3, "warn"), (20, "ok")])
def test_a_disk_that_is_full_within_a_day_is_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    usage = shutil.disk_usage(settings.var)._replace(free=free * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert examine(CHECKS["recordings"]["disk"], settings)[0] == state


@pytest.mark.parametrize(
    ("growth", "state", "words"),
    [
        (1.0, "ok", "30.0 GiB free for recordings in {}, for 30 days as last week"),
        (2.0, "ok", "30.0 GiB free for recordings in {}, for 15 days as last week"),
        (3.0, "warn", "30.0 GiB free for recordings in {}, for 10 days as last week: make room"),
        (0.01, "ok", "30.0 GiB free for recordings in {}, for over a year as last week"),
        (None, "ok", "30.0 GiB free for recordings in {}"),
    ],
)
def test_a_disk_lasts_as_long_as_last_weeks_growth_says(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    growth: float | None,
    state: str,
    words: str,
) -> None:
    usage = shutil.disk_usage(settings.var)._replace(free=30 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    bytes_a_day = growth and growth * GIB
    found = examine(lambda each: look_at_room(each.var, bytes_a_day), settings)
    assert found == (state, words.format(settings.var))


def test_numbers_that_nobody_could_open_are_reported(tmp_path: Path) -> None:
    look, key = CHECKS["security"]["numbers"], keys.make(tmp_path)
    off = Settings(_env_file=None, keys_folder=tmp_path, trace_key=key)
    assert examine(look, off)[1].endswith("no legal basis is named")
    named = off.model_copy(update={"trace_legal_basis": "Law 000-V, article 1"})
    assert examine(look, named) == ("ok", "withheld ones are kept, sealed, for 72 h")
    lost = named.model_copy(update={"trace_key": f"age1{'0' * 58}"})
    assert examine(look, lost)[0] == "BAD"


@pytest.mark.parametrize(
    ("today", "state", "words"),
    [
        (date(2027, 9, 1), "ok", "entered until 2027-12-31"),
        (
            date(2027, 9, 2),
            "warn",
            "ends on 2027-12-31, and terms reach over it: enter 2028 on the page /calendar",
        ),
        (
            date(2028, 1, 1),
            "BAD",
            "2028 is not entered, and nothing is registered: enter 2028 on the page /calendar",
        ),
    ],
)
def test_the_end_of_the_calendar_is_reported_120_days_before(
    settings: Settings, today: date, state: str, words: str
) -> None:
    calendar = parse({"2027": {"off": [], "worked": []}})
    state_found, message = examine(lambda _: look_at_calendar(calendar, today), settings)
    assert (state_found, message.partition(" (")[0]) == (state, words)


@pytest.mark.parametrize(("days", "state"), [(31, "ok"), (29, "warn"), (-1, "BAD")])
def test_a_certificate_of_sip_is_reported_before_its_end(
    tmp_path: Path, days: int, state: str
) -> None:
    certificate, key = make_certificate(tmp_path, days)
    mine = Settings(_env_file=None, sip_certificate=certificate, sip_key=key)
    assert examine(CHECKS["telephone"]["tls"], mine)[0] == state


def test_a_certificate_and_a_key_of_another_are_reported(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate, (_, key) = make_certificate(tmp_path, 90)[0], make_certificate(tmp_path / "other")
    mine = Settings(_env_file=None, sip_certificate=certificate, sip_key=key)
    assert examine(CHECKS["telephone"]["tls"], mine)[0] == "BAD"
    with pytest.raises(ValueError, match="belong together"):
        Settings(_env_file=None, sip_certificate=certificate)


def test_softphones_in_clear_are_warned_of_on_a_network() -> None:
    look = CHECKS["telephone"]["tls"]
    assert examine(look, Settings(_env_file=None))[0] == "ok"
    assert examine(look, Settings(_env_file=None, sip_address="192.0.2.10"))[0] == "warn"
