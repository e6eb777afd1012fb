"""What a version before encrypted, signed or hashed is opened, verified and found by this one."""

import base64
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from callcenter.appeals.encryption import RecordKeys
from callcenter.platform.audit.rules.checkpoints import key_from, read
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.second_factor import SecondFactors
from callcenter.platform.storage.engine import open_database
from callcenter.recordings.sealing.sealed_store import SealedStore
from tests.persisted.entries import APPEAL
from tests.persisted.sealed import AUDIO, CONTENT, ENTRY, NAME, person, reported
from tests.persisted.write import SEALED, read_written

MADE: dict[str, Any] = read_written(SEALED)


@pytest.fixture
def copy(tmp_path: Path) -> Settings:
    """A copy that a version before has left: secrets, keys, and one recording."""
    made = Settings(_env_file=None, var=tmp_path / "var", recordings=tmp_path / "recordings")
    for name, content in MADE["files"].items():
        file = made.var / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o600)
    (made.recordings / NAME).parent.mkdir(parents=True)
    (made.recordings / NAME).write_bytes(base64.b64decode(MADE["object"]))
    return made


def test_a_recording_is_opened(copy: Settings) -> None:
    copy.spool.mkdir()
    with SealedStore(copy).open(NAME) as audio:
        assert audio.read() == AUDIO


def test_a_record_is_opened(copy: Settings) -> None:
    assert RecordKeys.read(copy).open(APPEAL, bytes.fromhex(MADE["record"])) == CONTENT


def test_a_second_factor_is_opened(copy: Settings) -> None:
    identity, sealed, secret = MADE["second factor"]
    copy = copy.model_copy(update={"database_url": SecretStr("postgresql://nobody@/nowhere")})
    factors = SecondFactors(copy, open_database(copy))
    assert factors.secret_of(person(UUID(identity)), sealed) == secret


def test_hashes_signatures_and_names_come_out_as_they_did(copy: Settings) -> None:
    now = reported(copy)
    assert now == {name: MADE[name] for name in now}


def test_a_signed_head_is_verified(copy: Settings) -> None:
    key = key_from(read_secret(copy.secrets_folder, "audit"))
    assert read(key.public_key(), MADE["head"]).entry == ENTRY.id
