"""Presets of ordinary consultations: answers filled in by one press, edited by the center.

A preset holds nothing personal: it is the same for every applicant. It fills what is empty and
leaves what was typed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.form import presets_store, store
from callcenter.appeals.form.presets_store import Preset
from callcenter.appeals.rules.fields import Content, Value
from callcenter.appeals.rules.states import AppealKind
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

#: Fields that a preset may fill: those whose answers are the same for many applicants.
FIELDS = ("topics", "direction", "content", "help", "decision", "decision_reason")
NAME_LIMIT = 100  # characters
BAD_NAMES = N_("a preset has a name in Kazakh, Russian and English, of up to 100 characters")


def fill(preset: Preset, content: Content) -> dict[str, Value]:
    """The content with the answers of a preset where it has none."""
    typed = {key: value for key, value in content.items() if value}
    return dict(preset.answers) | typed


async def read_all(engine: AsyncEngine) -> Sequence[Preset]:
    """All presets, active or not."""
    async with unit_of_work(engine) as connection:
        return await presets_store.list_presets(connection)


async def read(engine: AsyncEngine, preset_id: UUID) -> Preset:
    """The preset with this id. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        return await presets_store.find(connection, preset_id)


async def put(
    engine: AsyncEngine,
    actor: Actor,
    names: tuple[str, str, str],
    kind: AppealKind,
    answers: Content,
    *,
    preset_id: UUID | None = None,
    active: bool = True,
) -> UUID:
    """Add a preset, or change the one with this id; audited.

    Raises InvalidRequest, WrongContent, NotFound.
    """
    kk, ru, en = (name.strip() for name in names)
    if not all(0 < len(name) <= NAME_LIMIT and name.isprintable() for name in (kk, ru, en)):
        raise InvalidRequest(BAD_NAMES)
    async with unit_of_work(engine) as connection:
        if preset_id is not None:
            await presets_store.find(connection, preset_id)
        form = await store.read_form(connection)
        answers = form.normalize({key: each for key, each in answers.items() if key in FIELDS})
        identity = preset_id or uuid4()
        preset = Preset(identity, kk, ru, en, kind, answers, active)
        await presets_store.put(connection, preset, actor.who, datetime.now(UTC))
        detail: dict[str, str | bool] = {"name": ru, "active": active}
        await audit_action(
            connection, actor, AppealAction.PRESET_SAVED, f"preset:{identity}", detail
        )
    return identity
