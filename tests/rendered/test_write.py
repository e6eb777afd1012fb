"""Writing files: when, with which permissions, and the diff of `--check`."""

import asyncio
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import configuration
from callcenter.telephony.asterisk.config.renderer import (
    READ_SUM,
    apply,
    changes,
    compose,
    configuration_lock,
    is_reload_due,
    note_reload,
    write,
    write_accounts,
)
from tests.rendered.given import ACCOUNTS, PROGRAM, SECRETS


@pytest.fixture
def files(settings: Settings) -> dict[str, str]:
    return compose(settings, ACCOUNTS, PROGRAM, SECRETS)


def texts(settings: Settings) -> dict[str, str]:
    """The files that are there, but for the note of what is read, by name."""
    etc = configuration(settings)
    paths = [path for path in etc.rglob("*") if path.is_file() and path.name != READ_SUM]
    return {str(path.relative_to(etc)): path.read_text(encoding="utf-8") for path in paths}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_files_are_written_for_our_own_user_only(
    settings: Settings, files: dict[str, str]
) -> None:
    assert sorted(write(settings, files)) == sorted(files)
    etc = configuration(settings)
    assert texts(settings) == files
    assert {mode(etc / name) for name in files} == {0o600}
    assert {mode(etc), mode(etc / "accounts")} == {0o700}


def test_the_folders_that_asterisk_does_not_make_are_made(
    settings: Settings, files: dict[str, str]
) -> None:
    write(settings, files)
    assert (settings.asterisk_folder / "log" / "cel-custom").is_dir()
    assert settings.spool.is_dir()


def test_what_did_not_change_is_left_alone(settings: Settings, files: dict[str, str]) -> None:
    write(settings, files)
    path = configuration(settings) / "pjsip.conf"
    before = path.stat().st_ino
    assert write(settings, files) == []
    assert path.stat().st_ino == before


def test_an_edited_or_opened_file_is_written_anew(
    settings: Settings, files: dict[str, str]
) -> None:
    write(settings, files)
    edited, opened = (configuration(settings) / each for each in ("rtp.conf", "ari.conf"))
    edited.write_text("; mine\n", encoding="utf-8")
    opened.chmod(0o644)
    assert sorted(write(settings, files)) == ["ari.conf", "rtp.conf"]
    assert mode(opened) == 0o600
    assert edited.read_text(encoding="utf-8") == files["rtp.conf"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    settings: Settings, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(settings, files)

    def full_disk(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OperationFailed, match="No space left"):
        write(settings, files | {"rtp.conf": "; new\n"})
    assert texts(settings) == files


def test_the_difference_shows_what_would_change_and_writes_nothing(
    settings: Settings, files: dict[str, str]
) -> None:
    assert "+rtpstart = 10000" in changes(settings, files)
    assert not configuration(settings).exists()
    write(settings, files)
    assert changes(settings, files) == ""
    fewer = compose(settings, ACCOUNTS[:1], PROGRAM, SECRETS)
    difference = changes(settings, fewer)
    assert "-member => PJSIP/202" in difference
    assert "PJSIP/101\n-" in difference


def test_the_difference_masks_secrets_and_still_shows_that_one_changed(
    settings: Settings, files: dict[str, str]
) -> None:
    secrets = {SECRETS.ari, SECRETS.ami, SECRETS.hep, *(account.digest for account in ACCOUNTS)}
    first = changes(settings, files)
    write(settings, files)
    changed = compose(settings, ACCOUNTS, PROGRAM, replace(SECRETS, ari="another-secret"))
    second = changes(settings, changed)
    assert "-password = <secret 1>\n+password = <secret 2>" in second
    assert second.count("<secret") == 2
    assert not [secret for secret in (*secrets, "another-secret") if secret in first + second]


async def test_an_asterisk_that_is_gone_is_no_error(settings: Settings) -> None:
    socket_file = settings.asterisk_folder / "run" / "asterisk.ctl"
    socket_file.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(socket_file))
    assert "pjsip.conf" in await apply(settings, ACCOUNTS, reload=True)
    assert not is_reload_due(settings)  # it reads them when it starts
    await apply(settings, ACCOUNTS[:1], reload=False)
    assert is_reload_due(settings)


async def test_accounts_that_are_as_before_again_are_read_anew(settings: Settings) -> None:
    await apply(settings, ACCOUNTS, reload=False)
    note_reload(settings)
    assert not is_reload_due(settings)
    write_accounts(settings, ACCOUNTS[:1])  # a reload may read these, and its answer be lost
    write_accounts(settings, ACCOUNTS)
    assert is_reload_due(settings)


async def test_one_waits_for_the_turn_of_another(settings: Settings) -> None:
    second = configuration_lock(settings)
    async with configuration_lock(settings):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await second.__aenter__()
    async with asyncio.timeout(30), configuration_lock(settings):
        pass
