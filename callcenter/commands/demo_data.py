"""`callcenter demo-data`: invented appeals to try searches and lists on."""

import asyncio
from datetime import UTC, datetime

import click

import callcenter.bootstrap.rooms  # noqa: F401 - registers them
from callcenter.demo.seed_appeals import load
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import read_settings


@click.command("demo-data")
@click.option("--appeals", default=10_000, show_default=True, help="How many.")
@click.option("--seed", default=111, show_default=True, help="The same seed, the same appeals.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(appeals: int, seed: int, yes: bool) -> None:
    """Fill an empty register with invented appeals in Kazakh and Russian.

    They cannot be told from real ones, and numbers are given to them: never where people work.
    """
    if not 1 <= appeals <= 10_000_000:
        raise InvalidRequest("from 1 to 10000000 appeals can be made")
    if not yes:
        click.confirm(f"Put {appeals} invented appeals into the register?", abort=True)
    settings = read_settings()
    with click.progressbar(length=appeals, label="appeals") as bar:
        asyncio.run(load(settings, appeals, seed, datetime.now(UTC), bar.update))
