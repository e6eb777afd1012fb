"""`callcenter users`: people who sign in to the pages."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants import store as consultants
from callcenter.errors import AskedWrongly
from callcenter.people import managing
from callcenter.people.managing import By
from callcenter.settings import read_settings
from callcenter.storage.engine import open_database, unit_of_work
from callcenter.web import store
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
        await managing.add(connection, _by(), name, Role(role), hash_password(password))

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


@command.command("role")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
def give_role(name: str, role: str) -> None:
    """Give NAME another role; NAME is signed out."""

    async def work(connection: AsyncConnection) -> None:
        await managing.give_role(connection, _by(), name, Role(role))

    _in_database(work)
    click.echo(f"{name} is {role}")


@command.command()
@click.argument("name")
@click.argument("subject")
def identify(name: str, subject: str) -> None:
    """Say that NAME is SUBJECT (sub) to the organisation's sign-in; "" is nobody there."""
    issuer = read_settings().oidc_issuer

    async def work(connection: AsyncConnection) -> None:
        await managing.link_identity(connection, _by(), name, issuer, subject)

    _in_database(work)
    click.echo(f"{name} is {subject or 'nobody'} there")


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
        await managing.set_password(connection, _by(), name, hash_password(secret))

    _in_database(work)
    click.echo(f"{name} has a new password{told}")


@command.command("reset-second-factor")
@click.argument("name")
def reset_second_factor(name: str) -> None:
    """Take NAME's second factor away: the telephone is lost, or new. NAME is signed out."""

    async def work(connection: AsyncConnection) -> None:
        await managing.reset_second_factor(connection, _by(), name)

    _in_database(work)
    click.echo(f"{name} has no second factor")


@command.command()
@click.argument("name")
@click.argument("extension")
def link(name: str, extension: str) -> None:
    """Say that NAME is the consultant EXTENSION, who then may sign in there by the pages."""

    async def work(connection: AsyncConnection) -> None:
        await managing.link_consultant(connection, _by(), name, extension)

    _in_database(work)
    click.echo(f"{name} is consultant {extension}")


@command.command()
@click.argument("name")
def unlink(name: str) -> None:
    """Say that NAME is no consultant any more."""

    async def work(connection: AsyncConnection) -> None:
        await managing.link_consultant(connection, _by(), name, "")

    _in_database(work)
    click.echo(f"{name} is no consultant")


@command.command()
@click.argument("name")
@click.argument("full_name")
@click.argument("position")
def sign(name: str, full_name: str, position: str) -> None:
    """Say how NAME signs receipts: FULL_NAME is surname and initials."""

    async def work(connection: AsyncConnection) -> None:
        await managing.sign(connection, _by(), name, full_name, position)

    _in_database(work)
    click.echo(f"{name} signs as {full_name}, {position}")


def _set_active(name: str, *, active: bool) -> None:
    async def work(connection: AsyncConnection) -> None:
        await managing.set_active(connection, _by(), name, active=active)

    _in_database(work)
    click.echo(f"{name} is {'active' if active else 'disabled'}")


def _by() -> By:
    return By(f"system:{getpass.getuser()}", "command")


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
