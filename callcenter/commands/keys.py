"""`callcenter keys`: the center's keys."""

import click

from callcenter.audit.heads import key_from
from callcenter.demands.signing import SECRET, fingerprint, public_pem
from callcenter.errors import WeFailed
from callcenter.recordings import keys
from callcenter.secrets import read_secret
from callcenter.settings import read_settings


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
def disclosures() -> None:
    """Make the key that signs what the authority is given, unless there is one; show its public
    part, and the SHA-256 that letters name it by."""
    secret = read_secret(read_settings().secrets_folder, SECRET)
    key = key_from(secret, SECRET)
    click.echo(public_pem(key), nl=False)
    click.echo(f"SHA-256: {fingerprint(key)}")
