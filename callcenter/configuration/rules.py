"""Effective settings: what each is, and where it comes from."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from callcenter.platform.core.settings import Settings


class SettingSource(StrEnum):
    """Where the value of a setting comes from."""

    ENVIRONMENT = "environment"  #: an environment variable of the process
    FILE = "file"  #: the file `callcenter.env`, or the program that started the process
    DEFAULT = "default"


@dataclass(frozen=True)
class EffectiveSetting:
    """A setting as the process has it.

    `name` is that of its environment variable; `value` and `default` are as one would type them,
    and None for a secret that is set.
    """

    name: str
    value: str | None
    default: str | None
    source: SettingSource
    description: str

    def mentions(self, text: str) -> bool:
        """Whether a search for this text finds it."""
        return text.casefold() in f"{self.name} {self.value or ''} {self.description}".casefold()


def effective_settings(settings: Settings, environment: Collection[str]) -> list[EffectiveSetting]:
    """All settings, in the order of their definition.

    `environment` are the names of the environment variables of the process.
    """
    dumped = settings.model_dump(mode="json")
    prefix = Settings.model_config["env_prefix"]
    variables = {each.upper() for each in environment}
    effective = []
    for key, field in Settings.model_fields.items():
        name, value = f"{prefix}{key}".upper(), getattr(settings, key)
        if key not in settings.model_fields_set:
            source = SettingSource.DEFAULT
        elif name in variables:
            source = SettingSource.ENVIRONMENT
        else:
            source = SettingSource.FILE
        effective.append(
            EffectiveSetting(
                name=name,
                value=None if isinstance(value, SecretStr) else _as_typed(dumped[key]),
                default=_as_typed(field.get_default(call_default_factory=True)),
                source=source,
                description=field.description or "",
            )
        )
    return effective


def _as_typed(value: Any) -> str:
    """A value as one would type it into `callcenter.env`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
