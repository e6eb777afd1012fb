"""A controller that counts what its events and requests cost; one of the variants of `events`.

Run by the plan of a measured product: `python -m tests.bench.controller --name line-1 ...`. When it
ends it writes `NAME.counts.json` into `var/journal`, the one folder that it may write to.
"""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import click
import uvloop

from callcenter.bootstrap.controller_process import run_controller
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.telephony.asterisk import ami, ari
from callcenter.telephony.asterisk.config.binary import configuration

Counts = dict[str, float]


def _counted(counts: Counts, kind: str, take: Callable[..., None]) -> Callable[..., None]:
    """`take`, with the number of its calls and the CPU that it uses added to the counts."""

    def counting(self: object, what: object) -> None:
        begun = time.thread_time()
        take(self, what)
        counts[f"{kind} seconds"] += time.thread_time() - begun
        counts[kind] += 1

    return counting


def count(counts: Counts) -> None:
    """From now on, count events of ARI and AMI, and requests of ARI."""
    counts |= dict.fromkeys(("ari", "ari seconds", "ami", "ami seconds", "requests"), 0.0)
    ari.Ari.receive = _counted(counts, "ari", ari.Ari.receive)  # type: ignore[method-assign]
    ami.AmiConnection.dispatch = _counted(  # type: ignore[method-assign]
        counts, "ami", ami.AmiConnection.dispatch
    )
    asking: Callable[..., Awaitable[Any]] = ari.Ari.send_request

    async def ask(self: ari.Ari, *arguments: Any) -> Any:
        counts["requests"] += 1
        return await asking(self, *arguments)

    ari.Ari.send_request = ask  # type: ignore[method-assign, assignment]


def use_http() -> None:
    """Requests by HTTP instead of the WebSocket; to be called before `count`."""
    sessions: dict[ari.Ari, aiohttp.ClientSession] = {}

    async def ask(
        self: ari.Ari,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: dict[str, Any] | None,
        within: float,
    ) -> Any:
        if self not in sessions:
            # Under the 30 s after which Asterisk closes an idle connection.
            connector = aiohttp.TCPConnector(limit=100, keepalive_timeout=10)
            sessions[self] = aiohttp.ClientSession(headers=self.headers, connector=connector)
        url = self.url.replace("ws://", "http://").partition("/ari/")[0] + f"/ari/{path}"
        async with (
            asyncio.timeout(within),
            sessions[self].request(method, url, params=query, json=body) as answer,
        ):
            reported = {
                "status_code": answer.status,
                "reason_phrase": answer.reason,
                "message_body": await answer.text(),
            }
        return ari.result_of(what, reported)

    ari.Ari.send_request = ask  # type: ignore[method-assign]


def take_every_event() -> None:
    """No filter of events, of ARI and of AMI."""
    ari.IGNORED_EVENTS = ()  # type: ignore[assignment]
    asking = ami.AmiConnection.ask

    async def ask(self: ami.AmiConnection, fields: ami.Fields, timeout: float) -> ami.Answer:
        if fields["Action"] == "Filter":
            return ami.Answer({}, ())
        return await asking(self, fields, timeout)

    ami.AmiConnection.ask = ask  # type: ignore[method-assign]


def remove_filters(settings: Settings) -> None:
    """Asterisk's own filter of AMI events, out of the rendered configuration."""
    file = configuration(settings) / "manager.conf"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("eventfilter")))


async def _run(name: str, settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_controller(settings, name, stop)


@click.command()
@click.option("--name", default="")
@click.option("--http", is_flag=True)
@click.option("--every-event", is_flag=True)
@click.option("--remove-filters", "removing", is_flag=True, help="Do only this, and end.")
def main(name: str, http: bool, every_event: bool, removing: bool) -> None:
    """Run a controller in one of its variants."""
    settings = read_settings()
    if removing:
        remove_filters(settings)
        return
    counts: Counts = {}
    if http:
        use_http()
    if every_event:
        take_every_event()
    count(counts)
    uvloop.run(_run(name, settings))
    (settings.journals / f"{name}.counts.json").write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
