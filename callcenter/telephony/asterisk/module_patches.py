"""Patch modules of Asterisk: no REFER crashes it or goes unanswered, and idle it sleeps.

* `res_pjsip_refer.so` is to ignore the header Refer-Sub. When transfers are given to ARI
  (PJSIP_TRANSFER_HANDLING), Asterisk before 22.11 and 23.5 crashes at a REFER with `Refer-Sub:
  false` (its issue 2021). The header only asks for no reports on the transfer; who does not know it
  sends them (RFC 4488, 4).
* `res_pjsip_session.so` is to leave what nothing in it has answered to PJSIP, which answers 500.
  Asterisk takes every request in a call for its own and leaves MESSAGE, SUBSCRIBE, NOTIFY and
  unknown ones without a word; a telephone may hang up for that after 32 s (RFC 3261, 12.2.1.2).
* `res_pjsip.so` and `res_rtp_asterisk.so` wake every 10 ms to look for timers of PJSIP, which are
  seldom there: every 60 ms now. Packets wake them at once as before. What may be late are
  retransmissions of SIP (500 ms and more) and the pace of ICE's checks.

Each changes one place, found by its bytes. See docs/decisions/0079 and 0087.
"""

import re
import struct
from pathlib import Path

REFER, SESSION = "res_pjsip_refer.so", "res_pjsip_session.so"
TIMERS = "res_pjsip.so", "res_rtp_asterisk.so"
#: The first version of each branch that a REFER does not crash.
MENDED_IN = {22: (22, 11), 23: (23, 5)}

_REFER_SUB, _UNKNOWN = b"\0Refer-Sub\0", b"\0Refer-Not\0"  # the second is sent by nobody

#: In the machine code of x86-64: "if this session has no supplements, the request is not ours".
_NO_SUPPLEMENTS = re.compile(
    rb"(\x4c\x8b\x60\x70"  # mov 0x70(%rax),%r12: session->supplements.first
    rb"\x4d\x85\xe4)"  # test %r12,%r12
    rb"\x74(."  # je
    rb"\x48\x8b\x83\xb8\x01\x01\x00)",  # mov 0x101b8(%rbx),%rax: rdata->msg_info.msg
    re.DOTALL,
)
_NEVER_OURS = rb"\1" + b"\xeb" + rb"\2"  # jmp: whatever it has

_POLL_MS, _PATCHED_POLL_MS = 10, 60
#: In the machine code of x86-64: `movdqa N(%rip),%xmm0` loads what lies N bytes behind it.
_LOAD = re.compile(rb"\x66\x0f\x6f\x05(.{4})", re.DOTALL)


def survives_refer(modules: Path, version: tuple[int, int, int]) -> bool:
    """Whether no REFER crashes this Asterisk with the modules in this folder. Raises OSError."""
    module = modules / REFER
    if not module.exists():
        return False
    return version[:2] >= MENDED_IN.get(version[0], (24,)) or _REFER_SUB not in module.read_bytes()


def patch_modules(modules: Path) -> None:
    """Replace the files of the modules in this folder by patched ones.

    A file in which the place is not found once is left as it is. An Asterisk that runs goes on as
    it is; killed at any moment, this leaves each file whole. Raises OSError.
    """
    refer, session = modules / REFER, modules / SESSION
    code = refer.read_bytes()
    if code.count(_REFER_SUB) == 1:
        _replace(refer, code.replace(_REFER_SUB, _UNKNOWN))
    code, times = _NO_SUPPLEMENTS.subn(_NEVER_OURS, session.read_bytes())
    if times == 1:
        _replace(session, code)
    for name in TIMERS:
        code = (modules / name).read_bytes()
        if (at := _find_poll(code)) is not None:
            patched = _time_value(_PATCHED_POLL_MS)
            _replace(modules / name, code[:at] + patched + code[at + len(patched) :])


def _find_poll(code: bytes) -> int | None:
    """Where a module has the time for which its threads poll; None unless it is one place.

    The compiler lays it down once, however many threads load it.
    """
    poll = _time_value(_POLL_MS)
    loaded = {
        each.end() + int.from_bytes(each[1], "little", signed=True) for each in _LOAD.finditer(code)
    }
    places = {at for at in loaded if at >= 0 and code[at : at + len(poll)] == poll}
    return places.pop() if len(places) == 1 else None


def _time_value(milliseconds: int) -> bytes:
    """A `pj_time_val`: seconds and milliseconds, below one second."""
    return struct.pack("<qq", 0, milliseconds)


def _replace(module: Path, code: bytes) -> None:
    patched = module.with_suffix(".patched")
    patched.write_bytes(code)
    patched.chmod(module.stat().st_mode)
    patched.replace(module)
