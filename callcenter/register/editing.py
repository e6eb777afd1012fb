"""What somebody changes of the form and of the law's terms: checked, kept as a version, audited."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.store import record as audit
from callcenter.errors import AskedWrongly, Stale
from callcenter.register import definitions, fields, kato
from callcenter.register.fields import Field, Form, Option, Section
from callcenter.register.kato import Renewal
from callcenter.register.terms import Law, Term
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit


async def form(site: Site) -> Form:
    """The form in force."""
    async with unit_of_work(site.engine) as connection:
        return await definitions.form(connection)


async def law(site: Site) -> Law:
    """The terms of the law."""
    async with unit_of_work(site.engine) as connection:
        return await definitions.law(connection)


def field_of(form: Form, section: Section, code: str) -> Field:
    """A field of the form, in use or not. Raises NotFound."""
    for each in form.fields:
        if (each.section, each.code) == (section, code):
            return each
    raise NotFound("the form has no such field")


async def add_field(site: Site, visit: Visit, field: Field) -> int:
    """Add a field; its version. Raises AskedWrongly as `definitions.put_field` does."""
    async with unit_of_work(site.engine) as connection:
        known = (await definitions.form(connection)).fields
        if any((each.section, each.code) == (field.section, field.code) for each in known):
            raise AskedWrongly("there is such a field already")
        return await _put(connection, visit, field)


async def change_field(
    site: Site,
    visit: Visit,
    section: Section,
    code: str,
    changed: Callable[[Field], Field],
    version: int | None = None,
) -> int:
    """Keep what `changed` makes of a field as its next version, which is returned.

    Raises NotFound; Stale unless it is in this version, if one is given; and as `add_field`.
    """
    async with unit_of_work(site.engine) as connection:
        old = field_of(await definitions.form(connection), section, code)
        if version not in (None, old.version):
            raise Stale
        return await _put(connection, visit, changed(old))


async def renew_districts(
    connection: AsyncConnection, who: str, found: Sequence[Option], *, keep: bool
) -> Renewal:
    """What a newer classifier changes of the districts, kept as the next version of the question.

    Without `keep` nothing is. Raises AskedWrongly when it does not fit the regions of the form.
    """
    form = await definitions.form(connection)
    [(part, whole)] = fields.WITHIN.items()
    old, regions = (field_of(form, Section.APPEAL, code) for code in (part, whole))
    renewal = kato.renewed(old.options, regions.options, found)
    if keep and renewal.changed:
        changed = replace(old, options=renewal.options)
        version = await definitions.put_field(connection, changed, who)
        await _note(connection, who, changed, version)
    return renewal


async def put_term(site: Site, visit: Visit, term: Term) -> None:
    """A term from a day on, as when the law changes. Raises AskedWrongly."""
    async with unit_of_work(site.engine) as connection:
        await definitions.put_term(connection, term)
        await audit(
            connection,
            who=visit.who,
            action=Action.TERM_KEPT,
            subject=f"term:{term.clock.value}",
            detail={
                "length": term.length,
                "unit": term.unit.value,
                "article": term.article,
                "from": term.valid_from.isoformat(),
            },
            from_address=visit.address,
        )


async def _put(connection: AsyncConnection, visit: Visit, field: Field) -> int:
    version = await definitions.put_field(connection, field, visit.who)
    await _note(connection, visit.who, field, version, visit.address)
    return version


async def _note(
    connection: AsyncConnection, who: str, field: Field, version: int, address: str | None = None
) -> None:
    await audit(
        connection,
        who=who,
        action=Action.FIELD_KEPT,
        subject=f"field:{field.section.value}.{field.code}",
        detail={"version": version},
        from_address=address,
    )
