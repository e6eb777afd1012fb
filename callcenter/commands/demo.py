"""`callcenter demo`: a real call to 111 on a separate copy of the product."""

import asyncio
import signal

import click

from callcenter.demo.demo_run import add_consultant, fields, run_demo, timeline
from callcenter.demo.written_message import write_message
from callcenter.launcher.port_check import NETWORK, with_free_ports
from callcenter.launcher.process_plan import product
from callcenter.launcher.supervisor import ProcessSupervisor
from callcenter.platform.core.settings import Settings, read_settings


@click.command("demo")
@click.option("--stay", is_flag=True, help="Keep everything running afterwards, until Ctrl-C.")
def command(stay: bool) -> None:
    """Place a real call to 111, write on the portal, and show what came of both.

    It runs on a copy of its own, under `var/demo` and on free ports, beside whatever else runs.
    Exit status 0 says that all of it really happened.
    """
    asyncio.run(_demo(stay))


def demo_settings(mine: Settings) -> Settings:
    """Settings of the demo's copy: servers of its own, and an operator on this machine alone.

    It registers with nobody: an operator would send it the calls of people. What is written there
    is sealed to its own key.
    """
    var = mine.var / "demo"
    return with_free_ports(
        mine,
        var=var,
        recordings=var / "recordings",
        database_url=None,
        redis_url=None,
        operator_networks=(f"{NETWORK}/32",),
        operators={},
        portal_url=None,
        portal_key=None,
    )


async def _demo(stay: bool) -> None:
    settings = demo_settings(read_settings())
    var = settings.var
    supervisor = ProcessSupervisor(settings, product, click.echo)
    await supervisor.start()
    try:
        run = await run_demo(
            settings, await add_consultant(settings), lambda line: click.echo(f"* {line}")
        )
        click.echo("\nThe call, in milliseconds from the caller's INVITE:")
        click.echo("\n".join(timeline(run)))
        click.echo("\nThe appeal that came of it, and its recording:")
        click.echo("\n".join(fields(settings, run)))
        click.echo()
        written = await write_message(settings, lambda line: click.echo(f"* {line}"))
        click.echo("\nThe message on the portal:")
        click.echo("\n".join(written))
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
