"""Undo Debian's native PLC patch, which drops voice that Asterisk takes for late.

Debian and Ubuntu build Asterisk with a patch (enable_native_plc) that Asterisk itself took back in
2016. It lets `ast_translate` compare the RTP number of each packet with the one before, and drop
what looks late. A telephone that begins its stream anew, with lower numbers, is then missing from
the recording for up to eleven minutes; where its codec is not the other's, nobody hears it at all.
See docs/decisions/0028.
"""

import re
from pathlib import Path

#: In the machine code of x86-64: "if the number before is above 65535, there was none: compare
#: nothing". Found once in a program with the patch, and never in one without.
_COMPARES = re.compile(
    rb"(\x8b[\x80-\xbf]\x88\x00\x00\x00"  # mov 0x88(%path),%number: path->f.seqno
    rb"(?:\x3d|\x81[\xf8-\xff])\xff\xff\x00\x00)"  # cmp $0xffff,%number
    rb"\x77"  # ja
)
_NEVER = rb"\1" + b"\xeb"  # jmp: as if there was none before


def has_native_plc_patch(program: Path) -> bool:
    """Whether this Asterisk surely drops packets that look late. Raises OSError.

    Known of programs for x86-64 only; what was built for another processor is not judged.
    """
    return _COMPARES.search(program.read_bytes()) is not None


def disable_native_plc(program: Path) -> None:
    """Replace the file of a program that drops packets that look late by one that does not.

    Changes the one byte of a jump, and nothing in any other program. An Asterisk that runs goes on
    as it is; killed at any moment, this leaves one of the two whole. Raises OSError.
    """
    code, times = _COMPARES.subn(_NEVER, program.read_bytes())
    if times != 1:
        return
    mended = program.with_suffix(".mended")
    mended.write_bytes(code)
    mended.chmod(program.stat().st_mode)
    mended.replace(program)
