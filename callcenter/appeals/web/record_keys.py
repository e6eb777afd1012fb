"""The keys of records for handlers of requests, read once by each process."""

from pathlib import Path

from callcenter.appeals.encryption import RecordKeys
from callcenter.platform.web.context import AppContext

_BY_FOLDER: dict[Path, RecordKeys] = {}  # one, except in tests


def record_keys(site: AppContext) -> RecordKeys:
    """The keys of this site; changed ones need a restart. Raises as `RecordKeys.read` does."""
    folder = site.settings.secrets_folder
    if folder not in _BY_FOLDER:
        _BY_FOLDER[folder] = RecordKeys.read(site.settings)
    return _BY_FOLDER[folder]
