"""Store of presets of ordinary consultations."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.rules.fields import Content
from callcenter.appeals.rules.states import AppealKind
from callcenter.appeals.tables import record_preset
from callcenter.platform.core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset: its names, and what it fills in."""

    id: UUID
    kk: str
    ru: str
    en: str
    kind: AppealKind
    answers: Content
    active: bool = True


async def list_presets(connection: AsyncConnection, *, active: bool = False) -> list[Preset]:
    """All presets, or the active ones, by their Russian names."""
    query = _query().order_by(record_preset.c.ru)
    if active:
        query = query.where(record_preset.c.active)
    return [_preset(row) for row in await connection.execute(query)]


async def find(connection: AsyncConnection, preset_id: UUID) -> Preset:
    """The preset with this id. Raises NotFound."""
    row = (await connection.execute(_query().where(record_preset.c.id == preset_id))).one_or_none()
    if row is None:
        raise NotFound("there is no such preset")
    return _preset(row)


async def put(connection: AsyncConnection, preset: Preset, author: str, at: datetime) -> None:
    """Add a preset, or replace the one with its id."""
    values: dict[str, Any] = asdict(preset) | {"author": author, "at": at}
    values["kind"] = preset.kind.value
    await connection.execute(
        upsert(record_preset)
        .values(values)
        .on_conflict_do_update(index_elements=["id"], set_=values)
    )


def _query() -> Select[Any]:
    """Columns in the order of Preset."""
    return select(*(record_preset.c[name] for name in Preset.__slots__))


def _preset(row: Any) -> Preset:
    return Preset(row.id, row.kk, row.ru, row.en, AppealKind(row.kind), row.answers, row.active)
