"""Files of a site that a backup holds beside the database and the store.

`secrets`, the folders that rooms offer (`BackupFolder`), and `settings`: `callcenter.env` or the
environment files of units, and what the environment says.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from callcenter.backup.archive import Member
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.backup_folders import BackupFolder

SECRETS = "secrets"
ENV_FILE, ENVIRONMENT = "settings/callcenter.env", "settings/environment"


def folders(settings: Settings) -> Mapping[str, Path]:
    """The folders of the site by their name in an archive."""
    offered = {each.key: each.find(settings) for each in offers(BackupFolder)}
    return {SECRETS: settings.secrets_folder} | offered


def members(settings: Settings, name: str) -> Iterator[Member]:
    """The files of one of these folders, as long as each is when its turn comes.

    Raises OperationFailed for what cannot be read.
    """
    folder = folders(settings)[name]
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.name.startswith("."):
            continue
        try:
            with path.open("rb") as file:
                state = os.fstat(file.fileno())
                inside = f"{name}/{path.relative_to(folder)}"
                yield Member.of_file(inside, file, state.st_size, state.st_mtime)
        except FileNotFoundError:
            continue  # rotated at this moment: the next file has it, or the next backup
        except OSError as exc:
            raise OperationFailed(f"cannot read {path} for the backup: {exc.strerror}") from exc


def settings_members(settings: Settings, folder: Path | None = None) -> Iterator[Member]:
    """`callcenter.env` as it is, and the variables of this process; secrets are among them.

    `folder` has environment files of units. Raises OperationFailed for what cannot be read.
    """
    own = type(settings).model_config.get("env_file")
    files = {ENV_FILE: own} if isinstance(own, Path) and own.is_file() else {}
    if folder is not None:
        files |= {f"settings/{each.name}": each for each in sorted(folder.glob("*.env"))}
    for name, file in files.items():
        try:
            yield Member.of_bytes(name, file.read_bytes())
        except OSError as exc:
            raise OperationFailed(f"cannot read {file} for the backup: {exc.strerror}") from exc
    ours = sorted(each for each in os.environ.items() if each[0].startswith("CALLCENTER_"))
    lines = "".join(f"{name}={value}\n" for name, value in ours)
    yield Member.of_bytes(ENVIRONMENT, lines.encode())
