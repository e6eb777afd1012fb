"""Public keys of age (age-encryption.org/v1) in settings, checked at start."""

from typing import Annotated

from pydantic import AfterValidator
from pyrage import RecipientError, x25519


def _check(key: str) -> str:
    try:
        x25519.Recipient.from_str(key)
    except RecipientError as exc:
        raise ValueError(f"this is no public key of age (age1...), {exc}: copy it whole") from exc
    return key


#: Its checksum is right: nothing is sealed to a mistyped key, which nobody could open.
AgePublicKey = Annotated[str, AfterValidator(_check)]
