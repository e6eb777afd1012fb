"""`callcenter keys`: the center's keys."""

import asyncio
import getpass

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.heads import key_from
from callcenter.audit.store import record
from callcenter.demands.disclosures import note_signing_key
from callcenter.demands.signing import SECRET, fingerprint, public_pem
from callcenter.errors import WeFailed
from callcenter.recordings import keys
from callcenter.secrets import read_secret
from callcenter.settings import read_settings
from callcenter.storage.engine import once


@click.group("keys")
def command() -> None:
    """The center's keys, in files of their own (CALLCENTER_KEYS_FOLDER, else var/keys)."""


@command.command()
@click.option("--new", is_flag=True, help="Make another key, which seals from now on.")
def recordings(new: bool) -> None:
    """Make the key that recordings are sealed to, unless there is one; list the public parts.

    Keep a copy of the folder where no fire or thief gets both: without its key a recording is lost.
    Older keys open what was sealed to them: remove none while such recordings are kept.
    """
    folder = read_settings().keys
    try:
        if not new:
            new = not any((folder / "recordings").glob("*.key"))
        if new:
            keys.make(folder)
    except OSError as exc:
        raise WeFailed(f"cannot make a key in {folder}: {exc}") from exc
    for number, identity in enumerate(keys.read(folder).identities):
        click.echo(f"{identity.to_public()}  {'opens' if number else 'seals and opens'}")


@command.command()
@click.option("--told", is_flag=True, help="Say that the authority was told of this key.")
def disclosures(told: bool) -> None:
    """Make the key that signs what the authority is given, unless there is one; show its public
    part, and the SHA-256 that letters name it by.

    Nothing is signed with another key than the first one until --told says that the authority
    knows it.
    """
    settings = read_settings()
    key = key_from(read_secret(settings.secrets_folder, SECRET), SECRET)
    if told:
        asyncio.run(once(settings, lambda connection: _told(connection, fingerprint(key))))
    click.echo(public_pem(key), nl=False)
    click.echo(f"SHA-256: {fingerprint(key)}")


async def _told(connection: AsyncConnection, key: str) -> None:
    await note_signing_key(connection, key)
    await record(
        connection,
        who=f"system:{getpass.getuser()}",
        action=Action.SIGNING_KEY_TOLD,
        subject=f"signing_key:{key}",
    )
