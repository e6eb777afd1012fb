"""Sealing of a withheld number: public keys alone, so that controllers can do it.

What is sealed is JSON with the number and its appeal, encrypted with age as recordings are.
"""

import json
from collections.abc import Sequence
from uuid import UUID

import pyrage
from pyrage import x25519


def seal_number(appeal_id: UUID, number: str, keys: Sequence[str]) -> bytes:
    """Encrypt the number of an appeal's caller to public keys of age (age1...)."""
    plain = json.dumps({"appeal": str(appeal_id), "number": number}).encode()
    recipients = [x25519.Recipient.from_str(key) for key in keys]
    sealed: bytes = pyrage.encrypt(plain, recipients)
    return sealed
