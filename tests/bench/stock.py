"""Fills a migrated database before the product starts: consultants, and appeals of former years.

Run by the plan of a measured product, with its settings in the environment:
`python -m tests.bench.stock --consultants 300 --appeals 0`.
"""

import asyncio

import click
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants import store
from callcenter.consultants.accounts import digest_of
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from tests.asterisk.switch import PASSWORD

FIRST_EXTENSION = 10000
EACH = 50_000  # appeals in one statement, which the server ends after 15 s

APPEALS = text(
    """
    WITH new AS (
        INSERT INTO appeal (id, number, channel, language, caller_kind, caller_number,
                            received_at, ended_at, outcome)
        SELECT gen_random_uuid(), '00' || lpad(n::text, 8, '0'), 'call', 'kk', 'number',
               '+7702' || lpad(n::text, 7, '0'), at, at + interval '4 minutes', 'talked'
        FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n,
             LATERAL (SELECT now() - interval '1 day' - n * interval '1 minute' AS at) AS moment
        RETURNING id, received_at
    )
    INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)
    SELECT id, seq, received_at, kind, '{}'
    FROM new, (VALUES (1, 'received'), (2, 'answered'), (3, 'ended')) AS moments (seq, kind)
    """
)


def extensions(consultants: int) -> list[str]:
    """The extensions of this many consultants."""
    return [str(FIRST_EXTENSION + number) for number in range(consultants)]


async def _add_consultants(connection: AsyncConnection, count: int) -> None:
    for extension in extensions(count):
        await store.add(
            connection,
            extension=extension,
            name=f"Consultant {extension}",
            languages=("kk", "ru"),
            digest=digest_of(extension, PASSWORD),
        )


async def _fill(consultants: int, appeals: int) -> None:
    engine = open_database(read_settings())
    async with unit_of_work(engine) as connection:
        await _add_consultants(connection, consultants)
    for first in range(1, appeals + 1, EACH):
        async with unit_of_work(engine) as connection:
            last = min(first + EACH - 1, appeals)
            await connection.execute(APPEALS, {"first": first, "last": last})
    # Else the server would do it by itself, in the middle of a measurement.
    tidying = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with tidying.connect() as connection:
        await connection.execute(text("SET statement_timeout = 0"))
        await connection.execute(text("VACUUM ANALYZE"))
    await engine.dispose()


@click.command()
@click.option("--consultants", type=int, required=True)
@click.option("--appeals", type=int, required=True)
def main(consultants: int, appeals: int) -> None:
    """Add consultants and appeals."""
    asyncio.run(_fill(consultants, appeals))


if __name__ == "__main__":
    main()
