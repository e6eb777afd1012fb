"""Administration of the form and of the law's terms, versioned and audited."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.form import kato, store
from callcenter.appeals.form.kato import ClassifierUpdate
from callcenter.appeals.rules import fields
from callcenter.appeals.rules.deadlines import DeadlineRules, LegalTerm
from callcenter.appeals.rules.fields import Field, Form, Option, Section
from callcenter.platform.core.errors import InvalidRequest, NotFound, VersionConflict
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work


async def read_form(engine: AsyncEngine) -> Form:
    """The form in force."""
    async with unit_of_work(engine) as connection:
        return await store.read_form(connection)


async def read_law(engine: AsyncEngine) -> DeadlineRules:
    """The terms of the law."""
    async with unit_of_work(engine) as connection:
        return await store.read_law(connection)


def find_field(form: Form, section: Section, code: str) -> Field:
    """A field of the form, active or not. Raises NotFound."""
    for each in form.fields:
        if (each.section, each.code) == (section, code):
            return each
    raise NotFound("the form has no such field")


async def add_field(engine: AsyncEngine, actor: Actor, field: Field) -> int:
    """Add a field; returns its version. Raises InvalidRequest as `store.put_field` does."""
    async with unit_of_work(engine) as connection:
        fields_now = (await store.read_form(connection)).fields
        if any((each.section, each.code) == (field.section, field.code) for each in fields_now):
            raise InvalidRequest("there is such a field already")
        return await _put(connection, actor, field)


async def change_field(
    engine: AsyncEngine,
    actor: Actor,
    section: Section,
    code: str,
    changed: Callable[[Field], Field],
    version: int | None = None,
) -> int:
    """Store what `changed` makes of a field as its next version, which is returned.

    Raises NotFound; VersionConflict unless it is in `version`, if given; and as `add_field`.
    """
    async with unit_of_work(engine) as connection:
        old = find_field(await store.read_form(connection), section, code)
        if version not in (None, old.version):
            raise VersionConflict
        return await _put(connection, actor, changed(old))


async def update_districts(
    connection: AsyncConnection, actor: Actor, found: Sequence[Option], *, keep: bool
) -> ClassifierUpdate:
    """Update the districts by a newer classifier; the changes, stored if `keep`.

    Raises InvalidRequest when it does not fit the regions of the form.
    """
    form = await store.read_form(connection)
    [(part, whole)] = fields.WITHIN.items()
    old, regions = (find_field(form, Section.APPEAL, code) for code in (part, whole))
    update = kato.update_districts(old.options, regions.options, found)
    if keep and update.changed:
        await _put(connection, actor, replace(old, options=update.options))
    return update


async def put_term(engine: AsyncEngine, actor: Actor, term: LegalTerm) -> None:
    """Enter a term that holds from a day on, as when the law changes. Raises InvalidRequest."""
    async with unit_of_work(engine) as connection:
        await store.put_term(connection, term)
        detail: dict[str, str | int] = {
            "length": term.length,
            "unit": term.unit.value,
            "article": term.article,
            "from": term.valid_from.isoformat(),
        }
        await audit_action(
            connection, actor, AppealAction.TERM_KEPT, f"term:{term.clock.value}", detail
        )


async def _put(connection: AsyncConnection, actor: Actor, field: Field) -> int:
    version = await store.put_field(connection, field, actor.who)
    subject = f"field:{field.section.value}.{field.code}"
    await audit_action(connection, actor, AppealAction.FIELD_KEPT, subject, {"version": version})
    return version
