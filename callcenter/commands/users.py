"""`callcenter users`: people who sign in to the pages."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.consultants import store as consultants
from callcenter.errors import AskedWrongly
from callcenter.settings import read_settings
from callcenter.storage.engine import open_database, unit_of_work
from callcenter.web import factors, store
from callcenter.web.passwords import generate_password, hash_password
from callcenter.web.permissions import Role

Result = TypeVar("Result")

password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Read the password from the first line of this file; without it one is made and shown.",
)


@click.group(name="users")
def command() -> None:
    """Add, change and list people who sign in to the pages."""


@command.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@password_file
def add(name: str, role: str, password_file: Path | None) -> None:
    """Add NAME with a role."""
    password, told = _password(password_file)

    async def work(connection: AsyncConnection) -> None:
        hashed = hash_password(password)
        await store.add_user(connection, name=name, role=Role(role), password_hash=hashed)
        await _note(connection, Action.USER_ADDED, name, role=role)

    _in_database(work)
    click.echo(f"added {name} as {role}{told}")


@command.command("list")
def list_users() -> None:
    """Show everybody: name, role, whether active, since when, and which consultant they are."""

    async def work(connection: AsyncConnection) -> tuple[list[store.User], dict[str, str]]:
        return await store.all_users(connection), await consultants.users(connection)

    everybody, linked = _in_database(work)
    extensions = {name: extension for extension, name in linked.items()}
    for user in everybody:
        state = "active" if user.active else "disabled"
        shown = f"{user.name:<40} {user.role.value:<18} {state:<9} {user.created_at:%Y-%m-%d}"
        click.echo(f"{shown} {extensions.get(user.name, '')}".rstrip())


@command.command()
@click.argument("name")
def disable(name: str) -> None:
    """Shut NAME out, at once; nobody is ever deleted, so that the audit log stays readable."""
    _set_active(name, active=False)


@command.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let NAME in again."""
    _set_active(name, active=True)


@command.command()
@click.argument("name")
@password_file
def password(name: str, password_file: Path | None) -> None:
    """Give NAME a new password; sessions with the old one end."""
    secret, told = _password(password_file)

    async def work(connection: AsyncConnection) -> None:
        await store.set_password(connection, name=name, password_hash=hash_password(secret))
        await _note(connection, Action.USER_PASSWORD_SET, name)

    _in_database(work)
    click.echo(f"{name} has a new password{told}")


@command.command("reset-second-factor")
@click.argument("name")
def reset_second_factor(name: str) -> None:
    """Take NAME's second factor away: the telephone is lost, or new. NAME is signed out."""

    async def work(connection: AsyncConnection) -> None:
        await factors.remove(connection, name)
        await _note(connection, Action.SECOND_FACTOR_RESET, name)

    _in_database(work)
    click.echo(f"{name} has no second factor")


@command.command()
@click.argument("name")
@click.argument("extension")
def link(name: str, extension: str) -> None:
    """Say that NAME is the consultant EXTENSION, who then may sign in there by the pages."""

    async def work(connection: AsyncConnection) -> None:
        consultant_id = await consultants.id_of(connection, extension)
        await store.link_consultant(connection, name=name, consultant_id=consultant_id)
        await _note(connection, Action.USER_LINKED, name, extension=extension)

    _in_database(work)
    click.echo(f"{name} is consultant {extension}")


@command.command()
@click.argument("name")
def unlink(name: str) -> None:
    """Say that NAME is no consultant any more."""

    async def work(connection: AsyncConnection) -> None:
        await store.link_consultant(connection, name=name, consultant_id=None)
        await _note(connection, Action.USER_LINKED, name)

    _in_database(work)
    click.echo(f"{name} is no consultant")


@command.command()
@click.argument("name")
@click.argument("full_name")
@click.argument("position")
def sign(name: str, full_name: str, position: str) -> None:
    """Say how NAME signs receipts: FULL_NAME is surname and initials."""

    async def work(connection: AsyncConnection) -> None:
        await store.set_signature(connection, name=name, full_name=full_name, position=position)
        await _note(connection, Action.USER_SIGNS, name)

    _in_database(work)
    click.echo(f"{name} signs as {full_name}, {position}")


def _set_active(name: str, *, active: bool) -> None:
    async def work(connection: AsyncConnection) -> None:
        await store.set_active(connection, name=name, active=active)
        await _note(connection, Action.USER_ENABLED if active else Action.USER_DISABLED, name)

    _in_database(work)
    click.echo(f"{name} is {'active' if active else 'disabled'}")


async def _note(connection: AsyncConnection, action: Action, name: str, **detail: str) -> None:
    who = f"system:{getpass.getuser()}"
    await record(connection, who=who, action=action, subject=f"user:{name}", detail=detail)


def _password(file: Path | None) -> tuple[str, str]:
    """The password, and what to tell about it: one that was made is shown this once."""
    if file is None:
        made = generate_password()
        return made, f"; password: {made}"
    try:
        return file.read_text().partition("\n")[0], ""
    except (OSError, UnicodeDecodeError) as exc:
        raise AskedWrongly(f"cannot read the password from {file}") from exc


def _in_database(work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Run `work` in one transaction."""

    async def run() -> Result:
        engine = open_database(read_settings())
        try:
            async with unit_of_work(engine) as connection:
                return await work(connection)
        finally:
            await engine.dispose()

    return asyncio.run(run())
