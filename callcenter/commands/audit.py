"""`callcenter audit`: verify the audit log."""

import asyncio
from pathlib import Path

import click

from callcenter.platform.audit.checkpoint_files import CheckpointFolder, read_all
from callcenter.platform.audit.rules.checkpoints import days_without
from callcenter.platform.audit.verifier import find_faults
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.engine import run_once_in_transaction

SHOWN = 20  # faults; more are counted


@click.group(name="audit")
def command() -> None:
    """The audit log: who saw and changed data."""


@command.command()
@click.option(
    "--heads",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of signed heads, such as a copy of yours; without it var/audit.",
)
def verify(heads: Path | None) -> None:
    """Find entries that were changed, removed, moved or cut off. Exit status 1 if any.

    Or if a trigger that refuses changes or forgeries is off. Entries that no signed head covers yet
    are told.

    Needs 30 seconds for a million entries. Nothing is changed, and nobody has to wait.
    """
    settings = read_settings()
    checkpoints = read_all(heads or settings.audit_heads)
    entries, found = asyncio.run(
        run_once_in_transaction(settings, lambda connection: find_faults(connection, checkpoints))
    )
    for fault in found[:SHOWN]:
        click.echo(fault)
    if found:
        raise OperationFailed(
            f"{len(found)} faults in the audit log of {entries} entries: keep the database "
            "and var/audit as they are, and see docs/operations/failures.md"
        )
    click.echo(f"{entries} entries are as they were written")
    click.echo(_describe(checkpoints, entries))


def _describe(checkpoints: CheckpointFolder, entries: int) -> str:
    if not checkpoints.heads:
        return "no signed head yet: that the newest entries were cut off would not be noticed"
    newest = max(checkpoints.heads, key=lambda head: head.entry)
    agreeing = (
        f"{len(checkpoints.heads)} signed heads agree, the newest of {newest.at:%Y-%m-%d} "
        f"for entry {newest.entry}; SHA-256 of the key: {checkpoints.fingerprint}"
    )
    if entries > newest.entry:
        agreeing += f"\n{entries - newest.entry} entries since then are covered by no head yet"
    without = days_without(checkpoints.heads)
    if not without:
        return agreeing
    shown = ", ".join(day.isoformat() for day in without[-SHOWN:])
    return f"{agreeing}\n{len(without)} days have no head of their own, a later one covers: {shown}"
