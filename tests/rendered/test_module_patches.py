"""Patches of Asterisk's modules: a byte, a name or a time, found once, or nothing."""

from pathlib import Path

import pytest

from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import find_asterisk
from callcenter.telephony.asterisk.module_patches import (
    REFER,
    SESSION,
    TIMERS,
    patch_modules,
    survives_refer,
)

BEFORE, AFTER = b"\x7fELF" + bytes(range(256)), bytes(range(255, 0, -1))
HEADER = b"Replaces\0Refer-Sub\0Refer-To\0"
#: Two loads of what lies behind both; then 10 and 60 ms, as seconds and milliseconds.
POLLS = bytes.fromhex("660f6f0508000000 660f6f0500000000")
TEN_MS, SIXTY_MS = (bytes(8) + bytes([each]) + bytes(7) for each in (10, 60))
ASKS = bytes.fromhex("4c8b6070 4d85e4 747d 488b83b8010100")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / REFER).write_bytes(BEFORE + HEADER + AFTER)
    (tmp_path / SESSION).write_bytes(BEFORE + ASKS + AFTER)
    (tmp_path / SESSION).chmod(0o640)
    for each in TIMERS:
        (tmp_path / each).write_bytes(BEFORE + POLLS + TEN_MS + AFTER)
    return tmp_path


def test_one_place_is_changed_and_once(modules: Path) -> None:
    assert not survives_refer(modules, (22, 10, 1))
    for _ in range(2):
        patch_modules(modules)
        assert (modules / REFER).read_bytes() == BEFORE + HEADER.replace(b"-Sub", b"-Not") + AFTER
        assert (modules / SESSION).read_bytes() == BEFORE + ASKS.replace(b"\x74", b"\xeb") + AFTER
        assert (modules / SESSION).stat().st_mode & 0o777 == 0o640
        for each in TIMERS:
            assert (modules / each).read_bytes() == BEFORE + POLLS + SIXTY_MS + AFTER
        assert sorted(each.name for each in modules.iterdir()) == sorted([REFER, SESSION, *TIMERS])
    assert survives_refer(modules, (22, 10, 1))


def test_modules_with_other_code_are_left_alone(modules: Path) -> None:
    (modules / REFER).write_bytes(HEADER + HEADER)
    (modules / SESSION).write_bytes(ASKS + ASKS)
    for each in TIMERS:
        (modules / each).write_bytes(2 * (POLLS + TEN_MS))
    patch_modules(modules)
    assert (modules / REFER).read_bytes() == HEADER + HEADER
    assert {(modules / each).read_bytes() for each in TIMERS} == {2 * (POLLS + TEN_MS)}
    assert (modules / SESSION).read_bytes() == ASKS + ASKS
    assert not survives_refer(modules, (22, 10, 1))


@pytest.mark.parametrize(
    ("version", "survives"),
    [
        ((22, 10, 9), False),
        ((22, 11, 0), True),
        ((23, 4, 1), False),
        ((23, 5, 0), True),
        ((24, 0, 0), True),
    ],
)
def test_mended_versions_need_no_patch(
    modules: Path, version: tuple[int, int, int], survives: bool
) -> None:
    assert survives_refer(modules, version) is survives
    (modules / REFER).unlink()
    assert not survives_refer(modules, version)


def test_the_real_asterisk_is_patched(settings: Settings) -> None:
    asterisk = find_asterisk(settings)
    assert asterisk.takes_refer
    for each in TIMERS:
        assert SIXTY_MS in (asterisk.modules / each).read_bytes()
