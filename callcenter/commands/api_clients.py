"""`callcenter api-clients`: API clients such as the portal, each with a token of its own."""

import asyncio
from datetime import datetime

import click
from sqlalchemy.ext.asyncio import AsyncConnection

import callcenter.bootstrap.rooms  # noqa: F401 - registers them: they say what a token may be for
from callcenter.appeals.permissions import AppealPermission
from callcenter.platform.audit.actions import Action
from callcenter.platform.core.settings import read_settings
from callcenter.platform.identity import api_clients
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.permissions import (
    NonUser,
    SessionPermission,
    permissions_of,
)
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.storage.engine import run_once_in_transaction

#: What a token may be good for, by the key of the permission.
SCOPES = {str(each): each for each in permissions_of(NonUser.MACHINE) - {SessionPermission.OPEN}}


@click.group(name="api-clients")
def command() -> None:
    """Manage API clients: programs that use the API with a token of their own."""


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    default=[AppealPermission.ASK_STATUS.value],
    show_default=True,
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    help="What the token is good for; may be given again.",
)
def add(name: str, scopes: tuple[str, ...]) -> None:
    """Add the API client NAME. Its token is shown only now; only its hash is stored."""
    token = new_token()

    async def work(connection: AsyncConnection) -> None:
        await api_clients.add(connection, name, token, [SCOPES[each] for each in scopes])
        await _audit(connection, IdentityAction.MACHINE_ADDED, name, scopes=",".join(scopes))

    asyncio.run(run_once_in_transaction(read_settings(), work))
    _show(f"added {name}", token)


@command.command()
@click.argument("name")
def renew(name: str) -> None:
    """Give NAME a new token, shown only now: no other is good any more. It goes on as before."""
    token = new_token()

    async def work(connection: AsyncConnection) -> None:
        await api_clients.renew(connection, name, token)
        await _audit(connection, IdentityAction.MACHINE_RENEWED, name)

    asyncio.run(run_once_in_transaction(read_settings(), work))
    _show(f"{name} has a new token", token)


@command.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke NAME's token, at once: NAME can do nothing until it is renewed."""

    async def work(connection: AsyncConnection) -> None:
        await api_clients.revoke(connection, name)
        await _audit(connection, IdentityAction.MACHINE_REVOKED, name)

    asyncio.run(run_once_in_transaction(read_settings(), work))
    click.echo(f"{name} is revoked")


@command.command("list")
def list_clients() -> None:
    """Show all: name, whether active, since when, the last request (UTC), and scopes."""
    for each in asyncio.run(run_once_in_transaction(read_settings(), api_clients.list_all)):
        state = "active" if each.revoked_at is None else "revoked"
        click.echo(
            f"{each.name:<40} {state:<8} {_day(each.created_at)} {_day(each.seen_at):<16}"
            f" {' '.join(each.scopes)}"
        )


def _show(done: str, token: str) -> None:
    click.echo(f"{done}; it sends with each request\nAuthorization: Bearer {token}")


def _day(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M}"


async def _audit(connection: AsyncConnection, action: Action, name: str, **detail: str) -> None:
    await audit_action(connection, Actor.of_command(), action, f"machine:{name}", detail)
