"""Secrets that data in the database need.

`launcher.process_secrets` has those of each process.

`register` seals sensitive values of records, `register_search` finds them by keyed hashes;
`second_factor` seals the second factors of people who sign in, and the refresh tokens by which the
organisation's sign-in is asked again; `audit` is the seed of the key that signs checkpoints of the
audit log, `disclosures` of the one that signs what the authority is given; `recordings` are the
keys of recordings, `portal` those that open what came through it. Controllers use none of these.

`orders_calls` proves orders for calls (`acd.command_bus`): no data need it, but web and
controllers, which read it without the database, must have the same.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.intake.drivers.portal.opening import PORTAL
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.secrets import SecretMissing, make_secret, read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.secret_fingerprints import DataSecret, ensure
from callcenter.recordings.sealing import keys
from callcenter.telephony.acd.command_bus import CALL_ORDERS

RECORDINGS = keys.RECORDINGS
#: Keys, in the folder of keys: all others are words.
KEYS = (RECORDINGS, PORTAL)
#: Those of several words, the newest first: all open or verify what is theirs.
ROTATED = ("register", "second_factor", CALL_ORDERS)
WORDS = (*ROTATED, "register_search", "audit", "disclosures")


def data_secrets(settings: Settings) -> Mapping[str, DataSecret]:
    """All of them, by name."""
    words = {name: _of_words(settings, name) for name in WORDS}
    return words | {purpose: _of_keys(settings, purpose) for purpose in KEYS}


async def ensure_secrets(settings: Settings, engine: AsyncEngine, names: Sequence[str]) -> None:
    """Ensure that these secrets are the database's, each in a transaction of its own.

    The first run makes them. Raises SecretMissing and SecretMismatch in one line,
    DependencyUnavailable without a database.
    """
    secrets = data_secrets(settings)
    for name in names:
        async with unit_of_work(engine) as connection:
            await ensure(connection, secrets[name])


def _of_words(settings: Settings, name: str) -> DataSecret:
    folder = settings.secrets_folder

    def read() -> Sequence[str]:
        text = read_secret(folder, name)
        return text.split() if name in ROTATED else (text,)

    return DataSecret(name, f"the secret {folder / name}", read, lambda: make_secret(folder, name))


def _of_keys(settings: Settings, purpose: str) -> DataSecret:
    folder = settings.keys / purpose
    place = f"the folder of keys {folder}"

    def read() -> Sequence[str]:
        """The public keys: each tells its private one."""
        try:
            found = keys.read(settings.keys, purpose=purpose)
        except keys.NoKey:
            raise SecretMissing(
                f'{place} has none: see "Secrets" in docs/operations/running.md'
            ) from None
        return [str(each.to_public()) for each in found.identities]

    def make() -> None:
        try:
            if not any(folder.glob("*.key")):
                keys.make(settings.keys, purpose)
        except OSError as exc:
            raise OperationFailed(f"cannot make a key in {folder}: {exc}") from exc

    return DataSecret(purpose, place, read, make)
