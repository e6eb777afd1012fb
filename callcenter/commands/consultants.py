"""`callcenter consultants`: who may be offered a call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants import store
from callcenter.consultants.accounts import (
    check_extension,
    check_password,
    digest_of,
    new_password,
)
from callcenter.consultants.roster import tell_changes
from callcenter.consultants.script import DeskClosed, Script
from callcenter.consultants.skills import as_words, read_skills
from callcenter.consultants.teams import read_team
from callcenter.errors import AskedWrongly, CallcenterError, WeFailed
from callcenter.settings import Settings, read_settings
from callcenter.softphones import render_asterisk
from callcenter.storage.engine import once, open_database
from callcenter.storage.redis import open_redis

password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Read the SIP password from the first line of this file; else one is made and shown.",
)


@click.group("consultants")
def command() -> None:
    """Add, change and list consultants. Asterisk learns of a change at once."""


@command.command()
@click.argument("extension")
@click.option("--name", required=True)
@click.option("--languages", required=True, help="kk, ru or kk,ru")
@password_file
def add(extension: str, name: str, languages: str, password_file: Path | None) -> None:
    """Add a consultant whose softphone signs in as EXTENSION."""
    password, told = _password(password_file)
    digest = digest_of(check_extension(extension), password)
    spoken = [language.strip() for language in languages.split(",")]

    async def work(connection: AsyncConnection) -> None:
        await store.add(connection, extension=extension, name=name, languages=spoken, digest=digest)

    _change(work, f"added {extension}{told}")


@command.command("list")
def list_consultants() -> None:
    """Show all: extension, languages, whether active, name, skills with levels, (team)."""
    for each in asyncio.run(once(read_settings(), store.everyone)):
        state = "active" if each.active else "disabled"
        shown = f"{each.extension:<7} {','.join(each.languages):<6} {state:<9} {each.name}"
        in_team = f"({each.team})" if each.team else ""
        place = " [browser]" if each.in_browser else ""
        click.echo(f"{shown}  {as_words(each.skills)} {in_team}".rstrip() + place)


@command.command()
@click.argument("extension")
@click.argument("skills", nargs=-1)
def skills(extension: str, skills: tuple[str, ...]) -> None:
    """Give the consultant EXTENSION these SKILLS (lawyer:3 children:1) and no others."""
    told = read_skills(" ".join(skills))
    asyncio.run(_set_skills(read_settings(), extension, told))
    click.echo(f"{extension} has {as_words(told) or 'no skills'}")


@command.command()
@click.argument("extension")
@click.argument("team", default="")
def team(extension: str, team: str) -> None:
    """Put the consultant, or the supervisor, EXTENSION into TEAM; without one, into none."""
    name = read_team(team)
    asyncio.run(once(read_settings(), lambda each: store.set_team(each, extension, name)))
    click.echo(f"{extension} is in {f'the team {name}' if name else 'no team'}")


@command.command()
@click.argument("extension")
@click.argument("kind", type=click.Choice(["browser", "softphone"]))
def telephone(extension: str, kind: str) -> None:
    """Say what the consultant EXTENSION speaks with: the page of work, or a softphone.

    It is one of the two: a caller rings one telephone.
    """
    in_browser = kind == "browser"
    _change(
        lambda connection: store.set_in_browser(connection, extension, in_browser),
        f"the telephone of {extension} is {'the page of work' if in_browser else 'a softphone'}",
    )


async def _set_skills(settings: Settings, extension: str, skills: Mapping[str, int]) -> None:
    await once(settings, lambda connection: store.set_skills(connection, extension, skills))
    engine, redis = open_database(settings), open_redis(settings)
    try:
        await tell_changes(Script(redis, settings), engine)
    except DeskClosed:
        click.echo("this is kept; calls are given by it within a minute of Redis being there")
    finally:
        await redis.aclose()
        await engine.dispose()


@command.command()
@click.argument("extension")
def disable(extension: str) -> None:
    """Shut the softphone EXTENSION out; a call that it is in goes on."""
    _change(lambda connection: store.set_active(connection, extension, False), "disabled")


@command.command()
@click.argument("extension")
def enable(extension: str) -> None:
    """Let the softphone EXTENSION sign in again."""
    _change(lambda connection: store.set_active(connection, extension, True), "enabled")


@command.command()
@click.argument("extension")
@password_file
def password(extension: str, password_file: Path | None) -> None:
    """Give the softphone EXTENSION a new password."""
    secret, told = _password(password_file)
    digest = digest_of(extension, secret)
    _change(
        lambda connection: store.set_digest(connection, extension, digest),
        f"changed the password of {extension}{told}",
    )


def _password(file: Path | None) -> tuple[str, str]:
    """The password, and what is told of it: one that we made is shown, once."""
    if file is None:
        made = new_password()
        return made, f", password {made} (shown only now)"
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise AskedWrongly(f"cannot read the password file {file}: {exc}") from exc
    return check_password(lines[0] if lines else ""), ""


def _change(work: Callable[[AsyncConnection], Awaitable[None]], done: str) -> None:
    """Change consultants, say so, then have Asterisk take it over."""
    settings = read_settings()
    asyncio.run(once(settings, work))
    click.echo(done)  # before Asterisk: a password that we made must not be lost
    try:
        asyncio.run(render_asterisk(settings, reload=True))
    except CallcenterError as exc:
        raise WeFailed(
            f"this is kept, but Asterisk does not know it yet ({exc}):"
            " run `callcenter render --reload`"
        ) from exc
