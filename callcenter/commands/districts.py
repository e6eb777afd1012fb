"""`callcenter districts`: update the list of districts from the state's classifier."""

import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path

import click
import python_calamine
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.form import kato, service
from callcenter.appeals.form.kato import ClassifierUpdate
from callcenter.appeals.rules.fields import Option
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import read_settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import run_once_in_transaction

LARGEST = 50_000_000  # bytes; the classifier has one

Rows = Sequence[Sequence[object]]


@click.command(name="districts")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def command(file: Path, dry_run: bool) -> None:
    """Bring districts up to date from FILE: КАТО as it is on stat.gov.kz, whole, XLSX or CSV.

    Names become those of FILE. A district that is not there any more is offered no more, and stays
    where it was chosen. Each change is a version of the question, so that older lists stay known.
    """
    found = kato.districts(_rows(file))

    async def work(connection: AsyncConnection) -> ClassifierUpdate:
        return await service.update_districts(
            connection, Actor.of_command(), found, keep=not dry_run
        )

    update = asyncio.run(run_once_in_transaction(read_settings(), work))
    _list("new", update.added)
    _list("renamed", update.renamed)
    _list("ended", update.ended)
    state = "nothing was kept" if dry_run else "kept" if update.changed else "nothing has changed"
    click.echo(f"{len(found)} districts in {file}: {state}")


def _list(what: str, options: Sequence[Option]) -> None:
    for each in options:
        click.echo(f"{what:<8} {each.code} {each.kk} | {each.ru}")


def _rows(file: Path) -> Rows:
    """All rows of the file. Raises InvalidRequest when it cannot be read."""
    try:
        if file.stat().st_size > LARGEST:
            raise InvalidRequest(f"{file} is larger than the classifier can be")
        if file.suffix.lower() == ".csv":
            return _csv_rows(file.read_bytes())
        return python_calamine.load_workbook(file).get_sheet_by_index(0).to_python()
    except (OSError, ValueError, csv.Error, python_calamine.CalamineError) as exc:
        raise InvalidRequest(f"cannot read {file} as XLSX or CSV: {exc}") from exc


def _csv_rows(content: bytes) -> Rows:
    """Rows of a CSV as spreadsheets save it, with commas, semicolons or tabs."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("its letters are not UTF-8: save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    return list(csv.reader(text.splitlines(), delimiter=delimiter))
