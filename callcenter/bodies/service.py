"""Actions on the directory: entering bodies, verifying contacts, files of all of it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.form.store import read_form
from callcenter.bodies import store
from callcenter.bodies.actions import BodyAction
from callcenter.bodies.directory_files import FileFormat, write
from callcenter.bodies.rules.directory import Body, DirectoryFault, WrongBody, check_body
from callcenter.bodies.rules.directory_table import DirectoryUpdate, Row, read_update, table_of
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound, VersionConflict
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

FAILURE_LIMIT = 300  # characters
NO_REASON = N_("say what happened, in up to 300 characters")
NO_CONTACT = "there is no such contact any more: look at the body again"


async def save_body(engine: AsyncEngine, actor: Actor, new: Body) -> None:
    """Enter a body, or change it on top of its version.

    Contacts that were changed have to be verified anew. Raises WrongBody, VersionConflict.
    """
    async with unit_of_work(engine) as connection:
        directory = await store.read_directory(connection)
        if not new.version and new.code in directory.bodies:
            raise WrongBody(DirectoryFault.TWICE)
        checked = check_body(new, directory, await read_form(connection))
        await _put(connection, actor, checked)


async def _put(connection: AsyncConnection, actor: Actor, checked: Body) -> None:
    """Store a body that was checked, with its audit entry. Raises VersionConflict."""
    version = await store.put(connection, checked, actor.who)
    await audit_action(
        connection, actor, BodyAction.BODY_SAVED, f"body:{checked.code}", {"version": version}
    )


async def verify_contact(engine: AsyncEngine, actor: Actor, code: str, contact_id: UUID) -> None:
    """Vouch that a contact was tried and works, from now on. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        if not await store.mark_verified(connection, code, contact_id, actor.who):
            raise NotFound(NO_CONTACT)
        await audit_action(
            connection,
            actor,
            BodyAction.CONTACT_VERIFIED,
            f"body:{code}",
            {"contact": str(contact_id)},
        )


async def report_failure(
    engine: AsyncEngine, actor: Actor, code: str, contact_id: UUID, failure: str
) -> None:
    """Report that a contact does not work: nobody is given it until it is verified again.

    Raises NotFound; InvalidRequest unless it says what happened.
    """
    said = failure.strip()
    if not 0 < len(said) <= FAILURE_LIMIT or not said.isprintable():
        raise InvalidRequest(NO_REASON)
    async with unit_of_work(engine) as connection:
        if not await store.mark_failed(connection, code, contact_id, said):
            raise NotFound(NO_CONTACT)
        detail = {"contact": str(contact_id), "failure": said}
        await audit_action(connection, actor, BodyAction.CONTACT_FAILED, f"body:{code}", {**detail})


async def preview_update(engine: AsyncEngine, rows: Sequence[Row]) -> DirectoryUpdate:
    """Changes that the rows of a file would make; nothing is stored. Raises UnreadableFile."""
    async with unit_of_work(engine) as connection:
        directory = await store.read_directory(connection)
        form = await read_form(connection)
        return await asyncio.to_thread(read_update, rows, directory, form)  # a third of a second


async def apply_update(
    engine: AsyncEngine, actor: Actor, rows: Sequence[Row], digest: str
) -> DirectoryUpdate:
    """Store what the rows of a file change, exactly as it was previewed, or nothing.

    Raises UnreadableFile; VersionConflict when it would change something else by now.
    """
    async with unit_of_work(engine) as connection:
        directory = await store.read_directory(connection)
        form = await read_form(connection)
        update = await asyncio.to_thread(read_update, rows, directory, form)
        if update.wrong or update.digest != digest:
            raise VersionConflict
        for change in update.changes:
            await _put(connection, actor, change.body)
        added = sum(change.is_new for change in update.changes)
        detail: dict[str, int] = {"added": added, "changed": len(update.changes) - added}
        await audit_action(connection, actor, BodyAction.DIRECTORY_IMPORTED, "bodies", {**detail})
    return update


async def export_directory(engine: AsyncEngine, actor: Actor, form: FileFormat) -> bytes:
    """The whole directory as a file, with an audit entry."""
    async with unit_of_work(engine) as connection:
        bodies = (await store.read_directory(connection)).bodies.values()
        detail: dict[str, str | int] = {"format": form.value, "bodies": len(bodies)}
        await audit_action(connection, actor, BodyAction.DIRECTORY_EXPORTED, "bodies", {**detail})
    return await asyncio.to_thread(write, table_of(bodies, datetime.now(ZONE).date()), form)
