"""Place of backups: a folder or a bucket, and the names of the archives in it."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.objects import Objects

_NAME = re.compile(r"callcenter-(\d{8}T\d{6}Z)\.tar\.age")
_STAMP = "%Y%m%dT%H%M%SZ"


class StoredBackup(NamedTuple):
    """An archive in the place of backups."""

    taken_at: datetime
    name: str
    size: int  #: bytes


def name_of(taken_at: datetime) -> str:
    """The name of the archive of that moment, to the second."""
    return f"callcenter-{taken_at.astimezone(UTC):{_STAMP}}.tar.age"


def open_place(settings: Settings) -> Objects:
    """The place of the settings. Raises InvalidRequest when there is none."""
    if settings.backup_store is None:
        raise InvalidRequest(
            "there is no place for backups: set CALLCENTER_BACKUPS to /FOLDER or a bucket of S3"
        )
    return Objects(settings.backup_store)


def list_backups(place: Objects) -> list[StoredBackup]:
    """The archives there, the oldest first. Raises ObjectStoreUnavailable."""
    return sorted(
        StoredBackup(datetime.strptime(f"{found[1]}+0000", f"{_STAMP}%z"), each.name, each.size)
        for each in place.list_objects("")
        if (found := _NAME.fullmatch(each.name))
    )


def newest(place: Objects, before: datetime | None) -> str:
    """The name of the newest archive, or of the newest at that moment. Raises NotFound."""
    found = [each.name for each in list_backups(place) if before is None or each.taken_at <= before]
    if not found:
        raise NotFound("there is no backup" + ("" if before is None else " of that time or before"))
    return found[-1]
