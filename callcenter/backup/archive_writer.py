"""Writes an archive into the place of backups, and reads it back before it counts."""

from collections.abc import Callable, Iterable
from tempfile import TemporaryFile

from pyrage import x25519

from callcenter.backup import archive
from callcenter.backup.archive import DamagedBackup, Member
from callcenter.backup.signature import signing_key
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.objects import Objects
from callcenter.recordings.sealing.keys import recipient


def refuse_without_key(settings: Settings) -> None:
    """Raise InvalidRequest without a key to encrypt to, whose private part is elsewhere."""
    if not settings.recovery_keys:
        raise InvalidRequest(
            "there is no key to encrypt a backup to: make one with `age-keygen` on a machine that "
            "stays offline, and name its public part in CALLCENTER_RECOVERY_KEYS"
        )


def write_archive(
    settings: Settings,
    place: Objects,
    name: str,
    members: Iterable[Member],
    say: Callable[[str], None],
) -> None:
    """Encrypt, put under the name as a whole, and read back. It blocks.

    Raises DamagedBackup when it is not there as it was written, what the members raise,
    OperationFailed and OSError.
    """
    recipients = [recipient(each) for each in settings.recovery_keys]
    # The private parts of those are elsewhere. This one opens this archive, until it is read back.
    witness = x25519.Identity.generate()
    with TemporaryFile(dir=settings.packing) as file:  # it has no name: a kill leaves nothing of it
        try:
            archive.encrypt(
                members, file, [*recipients, witness.to_public()], signing_key(settings)
            )
            file.flush()
        except OSError as exc:  # what it reads raises others
            raise OperationFailed(f"cannot write into {settings.packing}: {exc.strerror}") from exc
        size = file.tell()
        file.seek(0)
        say(f"archive: {size / 1024**2:.1f} MiB, writing {name}")
        place.put(name, file)
    say("reading it back")
    try:
        with archive.decrypted(place, name, [witness]) as tar:
            say(f"signed by the key with SHA-256 {archive.verify(tar)}")
    except (DamagedBackup, InvalidRequest):
        place.remove(name)
        raise
    except OperationFailed:
        say(f"{name} could not be read back: do not count on it")
        raise
