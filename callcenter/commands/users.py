"""`callcenter users`: users of the pages."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncConnection

import callcenter.bootstrap.rooms  # noqa: F401 - registers them: roles have what rooms give
from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import read_settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity import invitations, store
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.invitations import link_of
from callcenter.platform.identity.passwords import hash_password
from callcenter.platform.identity.permissions import Role, assignable_roles
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.users import service

Result = TypeVar("Result")

FROM_FILE = "Read the password from the first line of this file"

role_option = click.option(
    "--role", required=True, type=click.Choice([role.value for role in assignable_roles()])
)


@click.group(name="users")
def command() -> None:
    """Add, change and list users of the pages."""


@command.command()
@click.argument("name")
@role_option
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help=f"{FROM_FILE}; without it a link is shown, by which NAME chooses one.",
)
def add(name: str, role: str, password_file: Path | None) -> None:
    """Add NAME with a role."""
    actor, hashed = Actor.of_command(), ""
    if password_file is not None:
        hashed = hash_password(_password(password_file))

    async def work(connection: AsyncConnection) -> str:
        await service.add(connection, actor, name, Role(role), hashed)
        if hashed:
            return ""
        return f"; {_link(*await service.invite(connection, actor, name))}"

    shown = _in_database(work)
    click.echo(f"added {name} as {role}{shown}")


@command.command()
@click.argument("name")
def invite(name: str) -> None:
    """Show a link by which NAME chooses a new password; the old one stops working at once."""

    async def work(connection: AsyncConnection) -> str:
        return _link(*await service.invite(connection, Actor.of_command(), name))

    click.echo(f"{name} has no password now; {_in_database(work)}")


@command.command("invite-first-administrator")
def invite_first_administrator() -> None:
    """Show the link by which the first administrator is added; nothing when there is one."""
    token = _in_database(invitations.invite_first_administrator)
    if token is not None:
        click.echo(link_of(read_settings(), token))


@command.command("list")
def list_users() -> None:
    """Show all: name, role, whether active, since when, and the linked consultant."""

    async def work(connection: AsyncConnection) -> tuple[list[store.User], dict[str, str]]:
        return await store.all_users(connection), await consultants.users(connection)

    everybody, linked = _in_database(work)
    extensions = {name: extension for extension, name in linked.items()}
    for user in everybody:
        state = "active" if user.active else "disabled"
        line = f"{user.name:<40} {user.role.value:<18} {state:<9} {user.created_at:%Y-%m-%d}"
        click.echo(f"{line} {extensions.get(user.name, '')}".rstrip())


@command.command("role")
@click.argument("name")
@role_option
def give_role(name: str, role: str) -> None:
    """Give NAME another role; NAME is signed out."""

    async def work(connection: AsyncConnection) -> None:
        await service.give_role(connection, Actor.of_command(), name, Role(role))

    _in_database(work)
    click.echo(f"{name} is {role}")


@command.command()
@click.argument("name")
@click.argument("subject")
def identify(name: str, subject: str) -> None:
    """Link NAME to SUBJECT (sub) of the organisation's sign-in; "" unlinks."""
    issuer = read_settings().oidc_issuer

    async def work(connection: AsyncConnection) -> None:
        await service.link_identity(connection, Actor.of_command(), name, issuer, subject)

    _in_database(work)
    click.echo(f"{name} is {subject or 'nobody'} there")


@command.command()
@click.argument("name")
def disable(name: str) -> None:
    """Disable NAME at once; users are never deleted, so that the audit log stays readable."""
    _set_active(name, active=False)


@command.command()
@click.argument("name")
def enable(name: str) -> None:
    """Enable NAME again."""
    _set_active(name, active=True)


@command.command()
@click.argument("name")
@click.option(
    "--password-file", required=True, type=click.Path(path_type=Path), help=f"{FROM_FILE}."
)
def password(name: str, password_file: Path) -> None:
    """Give NAME a new password; sessions with the old one end."""
    hashed = hash_password(_password(password_file))

    async def work(connection: AsyncConnection) -> None:
        await service.set_password(connection, Actor.of_command(), name, hashed)

    _in_database(work)
    click.echo(f"{name} has a new password")


@command.command("reset-second-factor")
@click.argument("name")
def reset_second_factor(name: str) -> None:
    """Remove NAME's second factor: the telephone is lost, or new. NAME is signed out."""

    async def work(connection: AsyncConnection) -> None:
        await service.reset_second_factor(connection, Actor.of_command(), name)

    _in_database(work)
    click.echo(f"{name} has no second factor")


@command.command()
@click.argument("name")
@click.argument("extension")
def link(name: str, extension: str) -> None:
    """Link NAME to the consultant EXTENSION, who then may sign in there by the pages."""

    async def work(connection: AsyncConnection) -> None:
        await service.link_consultant(connection, Actor.of_command(), name, extension)

    _in_database(work)
    click.echo(f"{name} is consultant {extension}")


@command.command()
@click.argument("name")
def unlink(name: str) -> None:
    """Unlink NAME from its consultant."""

    async def work(connection: AsyncConnection) -> None:
        await service.link_consultant(connection, Actor.of_command(), name, "")

    _in_database(work)
    click.echo(f"{name} is no consultant")


@command.command()
@click.argument("name")
@click.argument("full_name")
@click.argument("position")
def sign(name: str, full_name: str, position: str) -> None:
    """Set NAME's signature on receipts: FULL_NAME is surname and initials."""

    async def work(connection: AsyncConnection) -> None:
        await service.set_signature(connection, Actor.of_command(), name, full_name, position)

    _in_database(work)
    click.echo(f"{name} signs as {full_name}, {position}")


def _set_active(name: str, *, active: bool) -> None:
    async def work(connection: AsyncConnection) -> None:
        await service.set_active(connection, Actor.of_command(), name, active=active)

    _in_database(work)
    click.echo(f"{name} is {'active' if active else 'disabled'}")


def _link(token: str, until: datetime) -> str:
    """Say by which link a password is chosen; it is shown this once."""
    end = f"{until.astimezone(ZONE):%Y-%m-%d %H:%M}"
    link = link_of(read_settings(), token)
    return f"the password is chosen by this link, good once, until {end}:\n{link}"


def _password(file: Path) -> str:
    try:
        return file.read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidRequest(f"cannot read the password from {file}") from exc


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
