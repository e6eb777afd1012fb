"""Files of a backup put back into a site, none over one that is there and differs."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from tarfile import TarFile, TarInfo
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import BinaryIO

from callcenter.backup import archive, site_files
from callcenter.backup.archive import DamagedBackup
from callcenter.backup.manifest import MANIFEST
from callcenter.backup.service import DATABASE, LIST, STORE
from callcenter.backup.site_files import SECRETS
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.secrets import shared_rights
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.shared_folders import mode_in
from callcenter.platform.core.streams import PIECE, digest_file
from callcenter.platform.storage.database_roles import DatabaseRole, password_file
from callcenter.platform.storage.objects import ObjectMissing, Objects
from callcenter.platform.storage.redis import REDIS
from callcenter.platform.storage.redis_users import RedisUser
from callcenter.telephony.reconciliation.cel_tail import CEL_LOG

#: Secrets of this machine's servers, which may be made already: no data need them.
OF_SERVERS = (
    *("ari", "ami", "hep", REDIS, *(user.secret for user in RedisUser)),
    *(password_file(Path(), role).name for role in ("postgres", *DatabaseRole)),
)
NAMED = 5  #: files in one message


def check_conflicts(settings: Settings, sums: Mapping[str, str]) -> None:
    """Refuse what a restore would lose: files of unknown rooms, and others that are there.

    Raises InvalidRequest.
    """
    unknown = [
        name for name in sums if _path_of(settings, name) is None and not _is_of_backup(name)
    ]
    if unknown:
        raise InvalidRequest(
            f"{len(unknown)} files of the backup belong to no room of this version: "
            f"{', '.join(unknown[:NAMED])}; install the one that made it (`manifest.json` says it)"
        )
    conflicts = [
        str(path)
        for name, digest in sums.items()
        if (path := _path_of(settings, name)) is not None
        and not _may_differ(name)
        and path.exists()
        and _digest(path) != digest
    ]
    if conflicts:
        raise InvalidRequest(
            f"{len(conflicts)} files are here already and are others than in the backup: "
            f"{', '.join(conflicts[:NAMED])}; restore into an empty machine, or move them away"
        )


def restore_files(settings: Settings, tar: TarFile) -> None:
    """Put back all files but the database and the store. It blocks; repeatable.

    Of the CEL log the longer of both files counts; one that is another is kept beside it. The
    settings of the backup are put into `var/restored`, for a person to compare. Raises OSError.
    """
    for info in tar:
        path = _path_of(settings, info.name)
        if path is None:
            continue
        if info.name.partition("/")[0] == CEL_LOG.key:
            _restore_cel_log(path, tar, info)
        elif not (path.exists() and _may_differ(info.name)):
            _write(path, archive.extract(tar, info), info)


def restore_objects(settings: Settings, tar: TarFile) -> int:
    """Put back objects of the archive that the store lacks; returns how many."""
    store, count = Objects(settings.store), 0
    settings.packing.mkdir(mode=0o700, parents=True, exist_ok=True)
    for info in tar:
        if not info.name.startswith(STORE):
            continue
        name = info.name.removeprefix(STORE)
        if ".." in PurePosixPath(name).parts:
            raise DamagedBackup(f"{info.name} in the backup is no name")
        try:
            is_there = store.size(name) == info.size
        except ObjectMissing:
            is_there = False
        if not is_there:
            # Not while it is read from a store: obstore does one thing at a time.
            with TemporaryFile(dir=settings.packing) as file:
                shutil.copyfileobj(archive.extract(tar, info), file, PIECE)
                file.seek(0)
                store.put(name, file)
            count += 1
    return count


def room_needed(settings: Settings, tar: TarFile) -> Iterator[tuple[Path, int]]:
    """The bytes that both will write, with the folder that they go to."""
    for info in tar:
        path = _path_of(settings, info.name)
        if path is not None and not path.exists():
            yield path.parent, info.size
    objects = [info for info in tar if info.name.startswith(STORE)]
    yield settings.packing, max((info.size for info in objects), default=0)  # one at a time
    store = settings.store
    if isinstance(store, Path):
        for info in objects:
            if not (store / info.name.removeprefix(STORE)).exists():
                yield store, info.size


def _path_of(settings: Settings, name: str) -> Path | None:
    """Where a member belongs, None when it is no file of the site.

    Raises DamagedBackup for one that would leave its folder.
    """
    top, *rest = PurePosixPath(name).parts
    if ".." in rest:
        raise DamagedBackup(f"{name} in the backup is no name")
    folders = {**site_files.folders(settings), "settings": settings.var / "restored"}
    return folders[top].joinpath(*rest) if rest and top in folders else None


def _is_of_backup(name: str) -> bool:
    return name in (MANIFEST, LIST) or name.startswith((DATABASE, STORE))


def _may_differ(name: str) -> bool:
    top, _, rest = name.partition("/")
    return top in (CEL_LOG.key, "settings") or (top == SECRETS and rest in OF_SERVERS)


def _restore_cel_log(path: Path, tar: TarFile, info: TarInfo) -> None:
    if path.exists():
        with path.open("rb") as here:
            if _begins_with(here, archive.extract(tar, info)):
                return  # Asterisk has written on, since the backup
            here.seek(0)
            if not _begins_with(archive.extract(tar, info), here):
                packed = ".gz" if path.suffix == ".gz" else ""
                path = path.with_name(f"{path.name.removesuffix('.gz')}.restored{packed}")
    _write(path, archive.extract(tar, info), info)
    path.chmod(mode_in(path.parent))


def _begins_with(whole: BinaryIO, beginning: BinaryIO) -> bool:
    return all(whole.read(len(piece)) == piece for piece in _pieces(beginning))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _write(path: Path, content: BinaryIO, info: TarInfo) -> None:
    """Write a file as a whole, with its time, owned and shared as its folder is."""
    made = _make_folders(path.parent)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            shutil.copyfileobj(content, file, PIECE)
            os.fchmod(file.fileno(), 0o600 | shared_rights(path.parent) & stat.S_IRGRP)
            file.flush()
            os.fsync(file.fileno())
            os.utime(file.name, (info.mtime, info.mtime))
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    for each in (*made, path):
        give_to_owner(each)


def _make_folders(folder: Path) -> Sequence[Path]:
    """Make the folder and those above it that are missing, outermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()][::-1]
    for each in missing:
        each.mkdir(mode=0o700)
    return missing


def give_to_owner(path: Path) -> None:
    """Root restores for the user of the folder."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return digest_file(file)[0]
