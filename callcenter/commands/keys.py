"""`callcenter keys`: the center's keys."""

import asyncio

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.bootstrap.data_secrets import (
    KEYS,
    RECORDINGS,
    WORDS,
    data_secrets,
    ensure_secrets,
)
from callcenter.demands.actions import DemandAction
from callcenter.demands.bundle_builder import signing_key
from callcenter.demands.disclosures import announce_signing_key
from callcenter.demands.rules.signing import SECRET, fingerprint, public_pem
from callcenter.intake.drivers.portal.opening import PORTAL, publish_key
from callcenter.platform.audit.actions import SystemAction
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import run_once_in_transaction, temporary_engine
from callcenter.platform.storage.secret_fingerprints import accept
from callcenter.recordings.sealing import keys


@click.group("keys")
def command() -> None:
    """The center's keys, in files of their own (CALLCENTER_KEYS_FOLDER, else var/keys)."""


@command.command("make")
@click.argument("names", nargs=-1, type=click.Choice([*WORDS, *KEYS]))
def make_all(names: tuple[str, ...]) -> None:
    """Make each secret and key that is missing and was never used: before the first start.

    With NAMES only these.
    """
    asyncio.run(_ensure(read_settings(), *(names or (*WORDS, *KEYS))))


@command.command()
@click.option("--new", is_flag=True, help="Make another key, which seals from now on.")
def recordings(new: bool) -> None:
    """Make the key that recordings are sealed to, unless there is one; list the public parts.

    Keep a copy of the folder where no fire or thief gets both: without its key a recording is lost.
    Older keys open what was sealed to them: remove none while such recordings are kept.
    """
    _make_keys(read_settings(), RECORDINGS, new=new)


@command.command()
@click.option("--new", is_flag=True, help="Make another key, which seals from now on.")
def portal(new: bool) -> None:
    """Make the key that opens what the portal sealed, unless there is one; list the public.

    The portal seals to the first of these: it is in var/portal/key.pub, which the portal reads for
    each message, or CALLCENTER_PORTAL_KEY. Older keys open what was sealed to them, and waits:
    remove one a day after a new one at the earliest.
    """
    _make_keys(read_settings(), PORTAL, new=new)


@command.command()
@click.option(
    "--told", "is_announced", is_flag=True, help="Say that the authority was told of this key."
)
def disclosures(is_announced: bool) -> None:
    """Make the key that signs disclosures, unless there is one; show its public part.

    Letters name the key by that SHA-256. Nothing is signed with another key than the first one
    until --told says that the authority knows it.
    """
    settings = read_settings()
    asyncio.run(_ensure(settings, SECRET))
    key = signing_key(settings)
    if is_announced:
        asyncio.run(
            run_once_in_transaction(
                settings, lambda connection: _announce(connection, fingerprint(key))
            )
        )
    click.echo(public_pem(key), nl=False)
    click.echo(f"SHA-256: {fingerprint(key)}")


@command.command("accept")
@click.argument("name", type=click.Choice([*WORDS, *KEYS]))
def accept_present(name: str) -> None:
    """Take the secret NAME as it is here for the right one; make a new one if it is gone.

    For when it is permanently lost, or an old key opens nothing any more. What was sealed with what
    is missing stays shut, and is not found by what was hashed: restore the file if you can.
    """
    settings = read_settings()
    asyncio.run(run_once_in_transaction(settings, lambda each: _accept(each, settings, name)))
    click.echo(f"{name}: processes start with the secret that is here now")
    if name == PORTAL:
        publish_key(settings)
        public = keys.read(settings.keys, purpose=PORTAL).public
        click.echo(f"The portal seals to {public}: CALLCENTER_PORTAL_KEY where it is elsewhere")


def _make_keys(settings: Settings, purpose: str, *, new: bool) -> None:
    """Make a key of this purpose if there is none, or another one, and list the public parts."""
    asyncio.run(_ensure(settings, purpose))
    if new:
        try:
            keys.make(settings.keys, purpose)
        except OSError as exc:
            raise OperationFailed(f"cannot make a key in {settings.keys}: {exc}") from exc
        asyncio.run(_ensure(settings, purpose))
    for number, identity in enumerate(keys.read(settings.keys, purpose=purpose).identities):
        click.echo(f"{identity.to_public()}  {'opens' if number else 'seals and opens'}")


async def _ensure(settings: Settings, *names: str) -> None:
    async with temporary_engine(settings) as engine:
        await ensure_secrets(settings, engine, names)
    if PORTAL in names:
        publish_key(settings)


async def _accept(connection: AsyncConnection, settings: Settings, name: str) -> None:
    await accept(connection, data_secrets(settings)[name])
    await audit_action(
        connection, Actor.of_command(), SystemAction.SECRET_ACCEPTED, f"secret:{name}"
    )


async def _announce(connection: AsyncConnection, key: str) -> None:
    await announce_signing_key(connection, key)
    action = DemandAction.SIGNING_KEY_TOLD
    await audit_action(connection, Actor.of_command(), action, f"signing_key:{key}")
