"""`callcenter consultants`: the roster of consultants."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from socket import gethostname

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.bootstrap.softphone_provisioning import render_asterisk
from callcenter.consultants import service, store
from callcenter.consultants.accounts import (
    REALM,
    check_extension,
    check_free_of_services,
    check_password,
    digest_of,
    new_password,
    softphone_server,
)
from callcenter.consultants.redis_script import DistributorScript, DistributorUnavailable
from callcenter.consultants.roster import refresh_roster
from callcenter.consultants.rules.skills import format_skills, read_skills
from callcenter.consultants.rules.teams import read_team
from callcenter.platform.core.errors import CallcenterError, InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import open_database, run_once_in_transaction
from callcenter.platform.storage.redis import open_redis

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
    """Add a consultant whose softphone signs in as EXTENSION, and say what it needs."""
    settings = read_settings()
    check_free_of_services(check_extension(extension), settings.called_numbers)
    password, shown = _password(password_file)
    digest = digest_of(extension, password)
    spoken = [language.strip() for language in languages.split(",")]

    async def work(connection: AsyncConnection) -> None:
        await service.add_consultant(
            connection,
            Actor.of_command(),
            extension=extension,
            name=name,
            languages=spoken,
            digest=digest,
        )

    _change(work, f"added {extension}{shown}\n{_softphone(settings, extension)}")


@command.command("list")
def list_consultants() -> None:
    """Show all: extension, languages, whether active, name, skills with levels, (team)."""
    for each in asyncio.run(run_once_in_transaction(read_settings(), store.everyone)):
        state = "active" if each.active else "disabled"
        line = f"{each.extension:<7} {','.join(each.languages):<6} {state:<9} {each.name}"
        in_team = f"({each.team})" if each.team else ""
        place = " [browser]" if each.in_browser else ""
        click.echo(f"{line}  {format_skills(each.skills)} {in_team}".rstrip() + place)


@command.command()
@click.argument("extension")
@click.argument("skills", nargs=-1)
def skills(extension: str, skills: tuple[str, ...]) -> None:
    """Give the consultant EXTENSION these SKILLS (lawyer:3 children:1) and no others."""
    levels = read_skills(" ".join(skills))
    asyncio.run(_set_skills(read_settings(), extension, levels))
    click.echo(f"{extension} has {format_skills(levels) or 'no skills'}")


@command.command()
@click.argument("extension")
@click.argument("team", default="")
def team(extension: str, team: str) -> None:
    """Put the consultant, or the supervisor, EXTENSION into TEAM; without one, into none."""
    name = read_team(team)
    asyncio.run(
        run_once_in_transaction(
            read_settings(),
            lambda connection: service.set_team(connection, Actor.of_command(), extension, name),
        )
    )
    click.echo(f"{extension} is in {f'the team {name}' if name else 'no team'}")


@command.command()
@click.argument("extension")
@click.argument("kind", type=click.Choice(["browser", "softphone"]))
def telephone(extension: str, kind: str) -> None:
    """Set the telephone of the consultant EXTENSION: the browser, or a softphone.

    It is one of the two: a caller rings one telephone.
    """
    in_browser = kind == "browser"
    _change(
        lambda connection: service.set_telephone(
            connection, Actor.of_command(), extension, in_browser=in_browser
        ),
        f"the telephone of {extension} is {'the page of work' if in_browser else 'a softphone'}",
    )


async def _set_skills(settings: Settings, extension: str, skills: Mapping[str, int]) -> None:
    await run_once_in_transaction(
        settings,
        lambda connection: service.set_skills(connection, Actor.of_command(), extension, skills),
    )
    engine, redis = open_database(settings), open_redis(settings)
    try:
        await refresh_roster(engine, DistributorScript(redis, settings))
    except DistributorUnavailable:
        click.echo("saved; calls are distributed by it within a minute of Redis being there")
    finally:
        await redis.aclose()
        await engine.dispose()


@command.command()
@click.argument("extension")
def disable(extension: str) -> None:
    """Shut the softphone EXTENSION out; a call that it is in goes on."""
    _set_active(extension, active=False)


@command.command()
@click.argument("extension")
def enable(extension: str) -> None:
    """Let the softphone EXTENSION sign in again."""
    _set_active(extension, active=True)


@command.command()
@click.argument("extension")
@password_file
def password(extension: str, password_file: Path | None) -> None:
    """Give the softphone EXTENSION a new password."""
    secret, shown = _password(password_file)
    digest = digest_of(extension, secret)
    _change(
        lambda connection: service.set_digest(connection, Actor.of_command(), extension, digest),
        f"changed the password of {extension}{shown}",
    )


def _set_active(extension: str, *, active: bool) -> None:
    _change(
        lambda connection: service.set_active(
            connection, Actor.of_command(), extension, active=active
        ),
        "enabled" if active else "disabled",
    )


def _password(file: Path | None) -> tuple[str, str]:
    """The password, and the text that shows a generated one, once."""
    if file is None:
        made = new_password()
        return made, f", password {made} (shown only now)"
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidRequest(f"cannot read the password file {file}: {exc}") from exc
    return check_password(lines[0] if lines else ""), ""


def _softphone(settings: Settings, extension: str) -> str:
    """Say what a softphone is told, and what to do when it cannot."""
    lines = [
        f"The softphone: server {softphone_server(settings, gethostname())}, user {extension}, "
        f"realm {REALM}; sound in G.711 (A-law).",
        "To be offered calls, sign in: dial *10, or use the page of work.",
        f"A password that was lost: `callcenter consultants password {extension}` makes a new one.",
        f"The browser instead: `callcenter consultants telephone {extension} browser`.",
    ]
    if settings.sip_address.is_loopback:
        lines.append(
            "Only this machine reaches it: set CALLCENTER_SIP_ADDRESS for softphones elsewhere."
        )
    return "\n".join(lines)


def _change(work: Callable[[AsyncConnection], Awaitable[None]], done: str) -> None:
    """Change consultants, confirm it, then reload Asterisk."""
    settings = read_settings()
    asyncio.run(run_once_in_transaction(settings, work))
    click.echo(done)  # before Asterisk: a password that we made must not be lost
    try:
        asyncio.run(render_asterisk(settings, reload=True))
    except CallcenterError as exc:
        raise OperationFailed(
            f"saved, but Asterisk does not know it yet ({exc}): run `callcenter render --reload`"
        ) from exc
