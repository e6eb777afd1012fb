"""`make chaos`: 100 callers, every fault, a table; the exit status is 1 when anything was lost."""

import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

import click

from callcenter.line.prompts.build import build
from callcenter.settings import ROOT, Settings
from callcenter.up.supervisor import environment
from tests.calls.house import open_house
from tests.calls.parts import OwnPostgres, OwnRedis, Process, running_line
from tests.chaos.faults import FAULTS, Parts
from tests.chaos.run import Result, chaos
from tests.services import CALLCENTER


@click.command()
@click.option("--seed", type=int, help="Of an earlier run, for the same callers and order.")
@click.option("--callers", default=100, show_default=True)
@click.option("--every", default=1.5, show_default=True, help="Seconds between two callers.")
def main(seed: int | None, callers: int, every: float) -> None:
    """Inject all faults under load and show what came of it."""
    seed = random.randrange(10**6) if seed is None else seed
    click.echo(f"seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))  # sockets want a short path
    try:
        result = asyncio.run(_run(folder, seed, callers, every))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(result.lost)


async def _run(folder: Path, seed: int, callers: int, every: float) -> Result:
    prompts = Settings(_env_file=None, var=ROOT / "var" / "tests")
    build(prompts, lambda done, total: None)
    redis, postgres = OwnRedis(folder), OwnPostgres(folder / "pg")
    await redis.start()
    await asyncio.to_thread(postgres.start_first, Settings(_env_file=None, var=folder))
    try:
        async with open_house(
            folder / "house",
            prompts.prompts,
            controllers=(),
            database_url=postgres.url,
            redis_url=redis.url,
            key_timeout=1.0,
            wrap_up=0,
        ) as house:
            worker = Process(
                (*CALLCENTER, "worker"),
                house.settings.var / "worker.log",
                dict(environment(house.settings)),
            )
            async with (
                running_line(house.settings, "line-1") as one,
                running_line(house.settings, "line-2") as two,
            ):
                await worker.start()
                try:
                    parts = Parts(house, [one, two], worker, postgres, redis)
                    faults = random.Random(seed).sample(FAULTS, len(FAULTS))
                    result = await chaos(parts, faults, seed=seed, callers=callers, every=every)
                    click.echo(result.table())
                    return result
                finally:
                    await worker.kill()
    finally:
        await redis.kill()
        await asyncio.to_thread(postgres.end)


if __name__ == "__main__":
    main()
