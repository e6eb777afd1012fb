"""One-time codes: TOTP (RFC 6238), and recovery codes.

Rules only: what was accepted before is told by the caller.
"""

import base64
import re
import secrets
from datetime import datetime

import pyotp

#: Seconds that a code is shown, and steps that the telephone's clock may be early or late.
STEP = 30
DRIFT = 1

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10  # 80 bits: a plain hash of it cannot be reversed by trying

_CODE = re.compile(r"[0-9]{6}")
#: Digits that these codes do not have, as the letters that they were read for.
_MISREAD = str.maketrans("018", "OIB")
_RECOVERY = re.compile(r"[A-Z2-7]{16}")


def step_at(moment: datetime) -> int:
    """The number of the step (RFC 6238: T) at this moment."""
    return int(moment.timestamp()) // STEP


def code_of(secret: str, step: int) -> str:
    """The code of this step, six digits."""
    return pyotp.HOTP(secret).at(step)


def matching_step(secret: str, typed: str, *, now: datetime, after: int) -> int | None:
    """The step of a typed code, if it is near enough to now and later than `after`.

    The step must be kept as the next `after`: so a code that was accepted is worth nothing to
    whoever saw it.
    """
    code = "".join(typed.split())
    if _CODE.fullmatch(code) is None:
        return None
    current = step_at(now)
    for step in range(max(current - DRIFT, after + 1), current + DRIFT + 1):
        if secrets.compare_digest(code_of(secret, step), code):
            return step
    return None


def address_for_telephones(secret: str, name: str) -> str:
    """The otpauth:// address of the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="111")


def in_groups(text: str, mark: str = " ") -> str:
    """A long code in groups of four."""
    return mark.join(text[at : at + 4] for at in range(0, len(text), 4))


def new_recovery_codes() -> tuple[str, ...]:
    """Ten codes, each for one sign-in without the telephone."""
    made = (secrets.token_bytes(_RECOVERY_BYTES) for _ in range(RECOVERY_CODES))
    return tuple(base64.b32encode(each).decode() for each in made)


def recovery_code(typed: str) -> str | None:
    """Normalise a typed recovery code; None if it is none."""
    code = re.sub(r"[\s-]", "", typed).upper().translate(_MISREAD)
    return code if _RECOVERY.fullmatch(code) else None
