"""`callcenter asterisk`: replace the private Asterisk while callers are served."""

import os
import subprocess
from pathlib import Path

import click

from callcenter.launcher.process_plan import ours
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.telephony.asterisk import replacement


@click.group("asterisk")
def command() -> None:
    """The private Asterisk."""


@command.command("replace")
@click.argument("newer", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--within",
    type=click.FloatRange(0, 24 * 60),
    default=60.0,
    show_default=True,
    help="Minutes in which there is to be a moment without a call.",
)
def replace(newer: Path, within: float) -> None:
    """Put the folder NEWER in the place of the private Asterisk, and restart that.

    It is restarted at a moment without a call, by what started it, and takes calls until then. With
    no such moment, or when it does not come back, all is as before, and the exit status is 1.
    """
    settings = read_settings()
    done = replacement.replace(
        settings,
        newer.absolute(),
        within=within * 60,
        render=lambda: render_as_owner(settings),
        say=lambda line: click.echo(line, err=True),
    )
    click.echo(done)


def render_as_owner(settings: Settings) -> None:
    """Run `callcenter render` as the user of Asterisk, also by root as under systemd.

    Asterisk is to read what it writes. Raises OperationFailed.
    """
    owner = settings.asterisk_folder.stat()
    is_other = os.geteuid() == 0 and owner.st_uid != 0
    done = subprocess.run(
        ours("render"),
        user=owner.st_uid if is_other else None,
        group=owner.st_gid if is_other else None,
        extra_groups=() if is_other else None,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise OperationFailed(f"the configuration is not written: {done.stderr.strip()}")
