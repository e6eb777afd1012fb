"""Opening of what came through the portal, with the private keys that the worker has."""

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal
from uuid import UUID

import pyrage
from pydantic import BaseModel, ConfigDict

from callcenter.platform.core.encryption import DecryptionFailed
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.portal.rules import PortalMessage
from callcenter.recordings.sealing import keys

PORTAL = "portal"  #: the purpose of these keys, and the name of this driver
READABLE = 0o644  # for whoever runs the portal


class SealedMessage(BaseModel):
    """The plaintext of a portal; whoever took one over can seal anything."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: UUID
    language: Literal["kk", "ru"]
    text: str
    is_urgent: bool


def open_message(folder: Path, message_id: UUID, sealed: bytes) -> PortalMessage:
    """Decrypt a message that was sealed under this id, with the folder of keys. Blocks.

    Raises DecryptionFailed, and what `keys.read` raises.
    """
    identities = list(keys.read(folder, purpose=PORTAL).identities)
    try:
        opened = SealedMessage.model_validate_json(pyrage.decrypt(sealed, identities))
    except (pyrage.DecryptError, ValueError) as exc:
        raise DecryptionFailed("a message of the portal cannot be opened") from exc
    if opened.id != message_id:
        raise DecryptionFailed("a message of the portal was sealed as another")
    return PortalMessage(opened.language, opened.text, opened.is_urgent)


def publish_key(settings: Settings) -> None:
    """Write the public part of the newest key to where the portal of this copy reads it.

    Raises what `keys.read` raises, OperationFailed.
    """
    public, file = keys.read(settings.keys, purpose=PORTAL).public, settings.portal_key_file
    try:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}-", delete=False) as new:
            new.write(f"{public}\n")
        Path(new.name).chmod(READABLE)
        Path(new.name).replace(file)
    except OSError as exc:
        raise OperationFailed(f"cannot write the key of the portal to {file}: {exc}") from exc
