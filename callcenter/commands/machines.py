"""`callcenter machines`: programs that may ask how appeals stand, such as the portal."""

import asyncio
import getpass
from datetime import datetime

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.settings import read_settings
from callcenter.storage.engine import once
from callcenter.web import machines
from callcenter.web.sessions import new_token


@click.group(name="machines")
def command() -> None:
    """Add, revoke and list programs that ask without a person, each by a token of its own."""


@command.command()
@click.argument("name")
def add(name: str) -> None:
    """Let a program in as NAME. Its token is shown this once and kept nowhere."""
    token = new_token()

    async def work(connection: AsyncConnection) -> None:
        await machines.add(connection, name, token)
        await _note(connection, Action.MACHINE_ADDED, name)

    asyncio.run(once(read_settings(), work))
    click.echo(f"added {name}; it sends with each request\nAuthorization: Bearer {token}")


@command.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Shut NAME out, at once and for ever: make another one with another token in its place."""

    async def work(connection: AsyncConnection) -> None:
        await machines.revoke(connection, name)
        await _note(connection, Action.MACHINE_REVOKED, name)

    asyncio.run(once(read_settings(), work))
    click.echo(f"{name} is shut out")


@command.command("list")
def list_machines() -> None:
    """Show all: name, whether it is let in, since when, and when it asked last (UTC)."""
    for each in asyncio.run(once(read_settings(), machines.everyone)):
        state = "active" if each.revoked_at is None else "revoked"
        click.echo(f"{each.name:<40} {state:<8} {_day(each.created_at)} {_day(each.seen_at)}")


def _day(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M}"


async def _note(connection: AsyncConnection, action: Action, name: str) -> None:
    who = f"system:{getpass.getuser()}"
    await record(connection, who=who, action=action, subject=f"machine:{name}")
