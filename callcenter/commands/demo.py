"""`callcenter demo`: a real call to 111 on a copy of the product of its own."""

import asyncio
import signal

import click

from callcenter.demo.story import fields, hire, play, timeline
from callcenter.settings import read_settings
from callcenter.up.ports import with_free_ports
from callcenter.up.product import product
from callcenter.up.supervisor import Supervisor


@click.command("demo")
@click.option("--stay", is_flag=True, help="Keep everything running afterwards, until Ctrl-C.")
def command(stay: bool) -> None:
    """Place a real call to 111 and show what came of it.

    It runs on a copy of its own, under `var/demo` and on free ports, beside whatever else runs.
    Exit status 0 says that all of it really happened.
    """
    asyncio.run(_demo(stay))


async def _demo(stay: bool) -> None:
    mine = read_settings()
    var = mine.var / "demo"
    settings = with_free_ports(
        mine, var=var, recordings=var / "recordings", database_url=None, redis_url=None
    )
    supervisor = Supervisor(settings, product, click.echo)
    await supervisor.start()
    try:
        story = await play(settings, await hire(settings), lambda line: click.echo(f"* {line}"))
        click.echo("\nThe call, in milliseconds from the caller's INVITE:")
        click.echo("\n".join(timeline(story)))
        click.echo("\nThe appeal that came of it, and its recording:")
        click.echo("\n".join(fields(settings, story)))
        if stay:
            await _stay(f"http://{settings.web_address}:{settings.web_port}/", var)
    finally:
        await supervisor.stop()


async def _stay(address: str, var: object) -> None:
    click.echo(f"\nThe pages are at {address}. To sign in, make yourself known once:")
    click.echo(f"  CALLCENTER_VAR={var} .venv/bin/callcenter users add NAME --role records_officer")
    click.echo("Such a role sets up a second factor on the page, with an application for")
    click.echo("one-time codes; with CALLCENTER_SECOND_FACTOR_ROLES='[]' nobody must.")
    click.echo("Ctrl-C ends it all.")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
