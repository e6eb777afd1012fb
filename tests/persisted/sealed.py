"""What is encrypted, signed or hashed, with the files of secrets and keys that it hangs on."""

import base64
from io import BytesIO
from typing import Any
from uuid import UUID

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.search.query import SearchFilter
from callcenter.appeals.search.saved_searches import as_query
from callcenter.bootstrap.data_secrets import data_secrets
from callcenter.demands.rules.signing import SECRET, fingerprint
from callcenter.platform.audit.rules.checkpoints import Checkpoint, key_from, sign
from callcenter.platform.audit.rules.hash_chain import GENESIS, Entry, next_hash
from callcenter.platform.core.secrets import read_secret, write_once
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.second_factor import SecondFactors
from callcenter.platform.identity.store import User, hash_of
from callcenter.platform.storage.engine import open_database
from callcenter.recordings.sealing.sealed_store import SealedStore, name_for
from tests.persisted.entries import APPEAL, AT, RECORDING, later

CONTENT = {"name": "Айгүл", "iin": "860101300123"}
AUDIO = b"what was said" * 100
NAME = name_for(RECORDING, AT)
IDENTIFIER = ("identifier", "860101300123")
TOKEN = "a token of a machine"
ENTRY = Entry(
    1, AT, "user:aliya", "web:session:started", "user:aliya", {"by": "provider", "n": 1}, "::1"
)
QUESTION = SearchFilter(
    text="water, электр",
    stages=[AppealState("registered")],
    kind=AppealKind("consultation"),
    channel="call",
    direction="d",
    topic="t",
    region="r",
    district="75",
    owner="aliya",
    urgent=True,
    since=AT,
    until=later(86_400),
    by_deadline=True,
)


def seal(settings: Settings, user: User) -> dict[str, Any]:
    """All of it, made with secrets and keys that are made now."""
    settings.spool.mkdir(parents=True, exist_ok=True)
    write_once(settings.secrets_folder / "register", "the-newest-word an-older-word\n")
    for secret in data_secrets(settings).values():
        secret.make()
    SealedStore(settings).seal(BytesIO(AUDIO), NAME)
    factors = SecondFactors(settings, open_database(settings))
    proposed = factors.propose(user)
    sealed = RecordKeys.read(settings).seal(APPEAL, CONTENT)
    assert sealed is not None
    made = {
        "object": base64.b64encode((settings.recordings / NAME).read_bytes()).decode(),
        "record": sealed.hex(),
        "second factor": [str(user.id), proposed, factors.secret_of(user, proposed)],
        **reported(settings),
    }
    files = [path for path in settings.var.rglob("*") if path.is_file()]
    stored = {str(path.relative_to(settings.var)): path.read_text() for path in files}
    return made | {"files": stored}


def reported(settings: Settings) -> dict[str, str]:
    """What comes out the same each time."""
    audit = key_from(read_secret(settings.secrets_folder, "audit"))
    disclosures = key_from(read_secret(settings.secrets_folder, SECRET), SECRET)
    return {
        "name of the object": NAME,
        "hash of an identifier": RecordKeys.read(settings).hash(*IDENTIFIER).hex(),
        "hash of a token": hash_of(TOKEN).hex(),
        "hash of an entry": next_hash(GENESIS, ENTRY).hex(),
        "head": sign(audit, Checkpoint(1, next_hash(GENESIS, ENTRY), AT)),
        "key of disclosures": fingerprint(disclosures),
        "saved search": as_query(QUESTION),
    }


def person(identity: UUID) -> User:
    """Somebody of whom only the id matters."""
    return User(identity, "aliya", "Aliya", *[None] * (len(User.__slots__) - 3))  # type: ignore[arg-type]
