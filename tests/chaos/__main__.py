"""`make chaos`: 100 callers, every fault, a table.

The exit status is 1 when anything was lost, or a fault could not be tried.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click

from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.telephony.calls.prompts.build import build
from tests.calls.call_center import CLAIM_TIMEOUT, CallCenter, running_call_center
from tests.calls.faulty_controllers import BLOCKABLE
from tests.calls.network import Network, network
from tests.calls.processes import (
    OwnPostgres,
    OwnRedis,
    Process,
    running_controller_program,
    running_watchdog,
)
from tests.calls.tcp_proxies import relayed_ari, slow_servers
from tests.chaos.faults import FAULTS, Parts
from tests.chaos.load import CONVERSATIONS
from tests.chaos.result import Result
from tests.chaos.run import chaos
from tests.seeds import SeededRandom, fresh_seed
from tests.services import CALLCENTER

EVERY_SECONDS = 1.2
SPARE = 8  # consultants more than talk at once


@click.command()
@click.option("--seed", type=int, help="Of an earlier run, for the same callers and order.")
@click.option("--callers", default=100, show_default=True)
@click.option("--every", default=EVERY_SECONDS, show_default=True, help="Seconds between callers.")
@click.option(
    "--conversations",
    default=CONVERSATIONS,
    show_default=True,
    help="Go on at once when a fault is injected; they last the longer.",
)
@click.option("--only", multiple=True, help="This fault; may be given several times.")
def main(
    seed: int | None, callers: int, every: float, conversations: int, only: tuple[str, ...]
) -> None:
    """Inject all faults under load and show what came of it."""
    names = {fault.__name__ for fault in FAULTS}
    if unknown := set(only) - names:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(sorted(names))}")
    seed = fresh_seed() if seed is None else seed
    click.echo(f"seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))  # sockets want a short path
    try:
        result = asyncio.run(_run(folder, seed, callers, every, conversations, only))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(result.table())
    sys.exit(result.lost or bool(result.not_tried))


async def _run(
    folder: Path,
    seed: int,
    callers: int,
    every: float,
    conversations: int,
    only: tuple[str, ...],
) -> Result:
    chosen = [fault for fault in FAULTS if not only or fault.__name__ in only]
    faults = SeededRandom(seed).sample(chosen, len(chosen))
    crew = {str(201 + n): ("kk", "ru") for n in range(conversations + SPARE)}
    async with _parts(folder, crew) as parts:
        return await chaos(
            parts,
            faults,
            seed=seed,
            callers=callers,
            every=every,
            crew=tuple(crew),
            conversations=conversations,
            say=click.echo,
        )


@asynccontextmanager
async def _parts(folder: Path, crew: Mapping[str, Sequence[str]]) -> AsyncIterator[Parts]:
    """A call center, two controllers behind faulty connections, a worker and both servers."""
    async with AsyncExitStack() as stack:
        redis, postgres = OwnRedis(folder), OwnPostgres(folder / "pg")
        stack.push_async_callback(redis.kill)
        stack.push_async_callback(asyncio.to_thread, postgres.end)
        call_center = await stack.enter_async_context(_call_center(folder, crew, redis, postgres))
        slow = await stack.enter_async_context(slow_servers(call_center.settings, folder))
        relay, relayed = await stack.enter_async_context(relayed_ari(call_center, slow.settings))
        way = _way(stack)
        if way is not None:
            await call_center.switch.permit(way.address)
        before = way.enter if way is not None else ()
        await stack.enter_async_context(running_watchdog(call_center.settings))
        lines = [
            await stack.enter_async_context(
                running_controller_program(relayed, "line-1", program=BLOCKABLE)
            ),
            await stack.enter_async_context(
                running_controller_program(slow.settings, "line-2", before=before)
            ),
        ]
        worker = Process(
            (*CALLCENTER, "worker"),
            call_center.settings.var / "worker.log",
            dict(environment(call_center.settings)),
        )
        stack.push_async_callback(worker.kill)
        await worker.start()
        yield Parts(call_center, lines, worker, postgres, redis, relay=relay, way=way, slow=slow)


@asynccontextmanager
async def _call_center(
    folder: Path, crew: Mapping[str, Sequence[str]], redis: OwnRedis, postgres: OwnPostgres
) -> AsyncIterator[CallCenter]:
    prompts = Settings(_env_file=None, var=ROOT / "var" / "tests")
    build(prompts, lambda done, total: None)
    await redis.start()
    await asyncio.to_thread(postgres.start)
    async with running_call_center(
        folder / "calls",
        prompts.prompts,
        controllers=(),
        crew=crew,
        claim_timeout=CLAIM_TIMEOUT,
        database_url=postgres.url,
        redis_url=redis.url,
        key_timeout=1.0,
        wrap_up=0,
    ) as call_center:
        yield call_center


def _way(stack: AsyncExitStack) -> Network | None:
    try:
        return stack.enter_context(network())
    except OSError as exc:
        click.echo(f"no network can be cut here: {exc}")
        return None


if __name__ == "__main__":
    main()
