"""Detection and removal of the native PLC patch."""

from pathlib import Path

import pytest

from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import find_asterisk
from callcenter.telephony.asterisk.plc_patch import disable_native_plc, has_native_plc_patch

#: As compilers write it: by the registers of Debian's 22.10.1, and by two others.
ASKS = [
    bytes.fromhex("8b9788000000 81faffff0000 77"),
    bytes.fromhex("8b8788000000 3dffff0000 77"),
    bytes.fromhex("8b8f88000000 81f9ffff0000 77"),
]
BEFORE, AFTER = b"\x7fELF" + bytes(range(256)), b"\x68" + bytes(range(255, 0, -1))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "asterisk"


@pytest.mark.parametrize("asks", ASKS)
def test_mending_changes_one_byte_and_is_done_once(program: Path, asks: bytes) -> None:
    program.write_bytes(BEFORE + asks + AFTER)
    program.chmod(0o750)
    assert has_native_plc_patch(program)
    disable_native_plc(program)
    mended = BEFORE + asks[:-1] + b"\xeb" + AFTER
    assert program.read_bytes() == mended
    assert program.stat().st_mode & 0o777 == 0o750
    assert not has_native_plc_patch(program)
    disable_native_plc(program)
    assert program.read_bytes() == mended
    assert list(program.parent.iterdir()) == [program]


@pytest.mark.parametrize(
    "code",
    [
        b"",
        BEFORE + AFTER,
        ASKS[0][:-1],
        ASKS[0].replace(b"\x88", b"\x90"),  # another field
        ASKS[0].replace(b"\xff\xff", b"\xff\x7f"),  # another number
        BEFORE + ASKS[0] + AFTER + ASKS[1],  # which of the two?
    ],
    ids=["empty", "other", "cut off", "field", "number", "twice"],
)
def test_any_other_program_is_left_as_it_is(program: Path, code: bytes) -> None:
    program.write_bytes(code)
    disable_native_plc(program)
    assert program.read_bytes() == code


def test_one_that_has_it_twice_is_not_taken_for_fit(program: Path) -> None:
    program.write_bytes(BEFORE + ASKS[0] + AFTER + ASKS[1])
    assert has_native_plc_patch(program)


def test_the_real_one_is_mended(settings: Settings) -> None:
    assert not has_native_plc_patch(Path(find_asterisk(settings).command[-1]))
