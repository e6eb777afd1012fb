"""`callcenter audit`: is the log of who saw and changed what as it was written?"""

import asyncio
from pathlib import Path

import click

from callcenter.audit.head_files import Kept, read_all
from callcenter.audit.heads import days_without
from callcenter.audit.verifying import faults
from callcenter.errors import WeFailed
from callcenter.settings import read_settings
from callcenter.storage.engine import once

SHOWN = 20  # faults; more are counted


@click.group(name="audit")
def command() -> None:
    """The log of who saw and changed what."""


@command.command()
@click.option(
    "--heads",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of signed heads, such as a copy of yours; without it var/audit.",
)
def verify(heads: Path | None) -> None:
    """Look for entries that were changed, removed, moved or cut off. Exit status 1 if there are.

    Needs 30 seconds for a million entries. Nothing is changed, and nobody has to wait.
    """
    settings = read_settings()
    kept = read_all(heads or settings.audit_heads)
    entries, found = asyncio.run(once(settings, lambda connection: faults(connection, kept)))
    for fault in found[:SHOWN]:
        click.echo(fault)
    if found:
        raise WeFailed(
            f"{len(found)} faults in the audit log of {entries} entries: keep the database "
            "and var/audit as they are, and see docs/operations/failures.md"
        )
    click.echo(f"{entries} entries are as they were written")
    click.echo(_heads_as_words(kept))


def _heads_as_words(kept: Kept) -> str:
    if not kept.heads:
        return "no signed head yet: that the newest entries were cut off would not be noticed"
    newest = max(kept.heads, key=lambda head: head.entry)
    agreeing = (
        f"{len(kept.heads)} signed heads agree, the newest of {newest.at:%Y-%m-%d} "
        f"for entry {newest.entry}; SHA-256 of the key: {kept.fingerprint}"
    )
    without = days_without(kept.heads)
    if not without:
        return agreeing
    shown = ", ".join(day.isoformat() for day in without[-SHOWN:])
    return f"{agreeing}\n{len(without)} days have no head of their own, a later one covers: {shown}"
