"""`callcenter keys`: the center's keys."""

import click

from callcenter.errors import WeFailed
from callcenter.recordings import keys
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
