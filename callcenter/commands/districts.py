"""`callcenter districts`: bring the list of districts up to date from the state's classifier."""

import asyncio
import csv
import getpass
from collections.abc import Sequence
from pathlib import Path

import click
import python_calamine
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
from callcenter.register import editing, kato
from callcenter.register.fields import Option
from callcenter.register.kato import Renewal
from callcenter.settings import read_settings
from callcenter.storage.engine import once

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
    who = f"system:{getpass.getuser()}"

    async def work(connection: AsyncConnection) -> Renewal:
        return await editing.renew_districts(connection, who, found, keep=not dry_run)

    renewal = asyncio.run(once(read_settings(), work))
    _tell("new", renewal.added)
    _tell("renamed", renewal.renamed)
    _tell("ended", renewal.ended)
    state = "nothing was kept" if dry_run else "kept" if renewal.changed else "nothing has changed"
    click.echo(f"{len(found)} districts in {file}: {state}")


def _tell(what: str, options: Sequence[Option]) -> None:
    for each in options:
        click.echo(f"{what:<8} {each.code} {each.kk} | {each.ru}")


def _rows(file: Path) -> Rows:
    """All rows of the file. Raises AskedWrongly when it cannot be read."""
    try:
        if file.stat().st_size > LARGEST:
            raise AskedWrongly(f"{file} is larger than the classifier can be")
        if file.suffix.lower() == ".csv":
            return _csv_rows(file.read_bytes())
        return python_calamine.load_workbook(file).get_sheet_by_index(0).to_python()
    except (OSError, ValueError, csv.Error, python_calamine.CalamineError) as exc:
        raise AskedWrongly(f"cannot read {file} as XLSX or CSV: {exc}") from exc


def _csv_rows(content: bytes) -> Rows:
    """Rows of a CSV as spreadsheets save it, with commas, semicolons or tabs."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("its letters are not UTF-8: save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    return list(csv.reader(text.splitlines(), delimiter=delimiter))
