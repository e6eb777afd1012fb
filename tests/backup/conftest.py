"""A site with a place for backups, and the key that opens them, which is kept elsewhere."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pyrage import x25519
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.jobs import WorkerResources


@pytest.fixture
def offline_key(tmp_path: Path) -> Path:
    """The file of the private key, as age-keygen writes it."""
    return new_key(tmp_path / "offline.key")


def new_key(file: Path) -> Path:
    file.touch(mode=0o600)
    file.write_text(f"{x25519.Identity.generate()}\n")
    return file


def public_of(key: Path) -> str:
    return str(x25519.Identity.from_str(key.read_text().strip()).to_public())


def with_backups(settings: Settings, tmp_path: Path, key: Path) -> Settings:
    return settings.model_copy(
        update={
            "backups": SecretStr(str(tmp_path / "backups")),
            "recovery_keys": (public_of(key),),
        }
    )


@pytest.fixture
def tools(
    settings: Settings, engine: AsyncEngine, tmp_path: Path, offline_key: Path
) -> WorkerResources:
    here = with_backups(settings, tmp_path, offline_key)
    here.spool.mkdir(parents=True)
    return WorkerResources(here, engine)
