"""Opening of a sealed number with the private keys of recordings, which pages have."""

import json
from pathlib import Path
from uuid import UUID

import pyrage

from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.age import Altered, WrongKey


def open_number(folder: Path, appeal_id: UUID, sealed: bytes) -> str:
    """Decrypt the number that was sealed for this appeal. Blocks.

    Raises NoKey, WrongKey, and Altered when it was sealed for another appeal.
    """
    try:
        plain = json.loads(pyrage.decrypt(sealed, list(keys.read(folder).identities)))
    except pyrage.DecryptError as exc:
        raise WrongKey if "No matching keys" in str(exc) else Altered from exc
    if plain["appeal"] != str(appeal_id):
        raise Altered
    return str(plain["number"])
