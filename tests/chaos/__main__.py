"""`make chaos`: 100 callers, every fault, a table; the exit status is 1 when anything was lost."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click

from callcenter.line.prompts.build import build
from callcenter.settings import ROOT, Settings
from callcenter.up.supervisor import environment
from tests.calls.ailing import BLOCKABLE
from tests.calls.house import House, open_house
from tests.calls.network import Network, network
from tests.calls.parts import OwnPostgres, OwnRedis, Process, running_line, running_watchdog
from tests.calls.relays import relayed_ari, slow_servers
from tests.chaos.faults import FAULTS, Parts
from tests.chaos.result import Result
from tests.chaos.run import chaos
from tests.seeds import SeededRandom, fresh_seed
from tests.services import CALLCENTER

CREW = {str(extension): ("kk", "ru") for extension in range(201, 209)}


@click.command()
@click.option("--seed", type=int, help="Of an earlier run, for the same callers and order.")
@click.option("--callers", default=100, show_default=True)
@click.option("--every", default=3.0, show_default=True, help="Seconds between two callers.")
@click.option("--only", multiple=True, help="This fault; may be given several times.")
def main(seed: int | None, callers: int, every: float, only: tuple[str, ...]) -> None:
    """Inject all faults under load and show what came of it."""
    names = {fault.__name__ for fault in FAULTS}
    if unknown := set(only) - names:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(sorted(names))}")
    seed = fresh_seed() if seed is None else seed
    click.echo(f"seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))  # sockets want a short path
    try:
        result = asyncio.run(_run(folder, seed, callers, every, only))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(result.table())
    sys.exit(result.lost)


async def _run(
    folder: Path, seed: int, callers: int, every: float, only: tuple[str, ...]
) -> Result:
    chosen = [fault for fault in FAULTS if not only or fault.__name__ in only]
    faults = SeededRandom(seed).sample(chosen, len(chosen))
    async with _parts(folder) as parts:
        return await chaos(
            parts, faults, seed=seed, callers=callers, every=every, crew=tuple(CREW), say=click.echo
        )


@asynccontextmanager
async def _parts(folder: Path) -> AsyncIterator[Parts]:
    """A house, two controllers behind whatever ails connections, a worker and both servers."""
    async with AsyncExitStack() as stack:
        redis, postgres = OwnRedis(folder), OwnPostgres(folder / "pg")
        stack.push_async_callback(redis.kill)
        stack.push_async_callback(asyncio.to_thread, postgres.end)
        house = await stack.enter_async_context(_house(folder, redis, postgres))
        slow = await stack.enter_async_context(slow_servers(house.settings, folder))
        relay, relayed = await stack.enter_async_context(relayed_ari(house, slow.settings))
        way = _way(stack)
        if way is not None:
            await house.switch.permit(way.address)
        before = way.enter if way is not None else ()
        await stack.enter_async_context(running_watchdog(house.settings))
        lines = [
            await stack.enter_async_context(running_line(relayed, "line-1", program=BLOCKABLE)),
            await stack.enter_async_context(running_line(slow.settings, "line-2", before=before)),
        ]
        worker = Process(
            (*CALLCENTER, "worker"),
            house.settings.var / "worker.log",
            dict(environment(house.settings)),
        )
        stack.push_async_callback(worker.kill)
        await worker.start()
        yield Parts(house, lines, worker, postgres, redis, relay=relay, way=way, slow=slow)


@asynccontextmanager
async def _house(folder: Path, redis: OwnRedis, postgres: OwnPostgres) -> AsyncIterator[House]:
    prompts = Settings(_env_file=None, var=ROOT / "var" / "tests")
    build(prompts, lambda done, total: None)
    await redis.start()
    await asyncio.to_thread(postgres.start)
    async with open_house(
        folder / "house",
        prompts.prompts,
        controllers=(),
        crew=CREW,
        database_url=postgres.url,
        redis_url=redis.url,
        key_timeout=1.0,
        wrap_up=0,
        message_pause=1.0,
    ) as house:
        yield house


def _way(stack: AsyncExitStack) -> Network | None:
    try:
        return stack.enter_context(network())
    except OSError as exc:
        click.echo(f"no network can be cut here: {exc}")
        return None


if __name__ == "__main__":
    main()
