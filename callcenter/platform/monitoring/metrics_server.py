"""The metrics endpoint of a process: liveness, readiness and metrics, on its own port.

`/live` answers as long as the event loop turns; `/ready` lists the dependencies of the process,
with 503 when one is missing; `/metrics` is in Prometheus's text format. Nothing about callers is in
it, so there is no sign-in; by default only this machine may ask.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from callcenter.platform.core.settings import Settings

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
#: Ports from the worker's to those of others: controllers are at most 16.
BESIDE = {"web": 20, "watchdog": 21, "portal": 22}
Figures = Callable[[], Awaitable[Iterable[Metric]]]
Needs = Callable[[], Awaitable[Mapping[str, bool]]]


def metrics_port(settings: Settings, name: str) -> int | None:
    """The port of a controller, of `web`, `watchdog` or `portal`; None when it has none."""
    number = name.removeprefix("line-")
    if settings.metrics_port is None:
        return None
    if name in BESIDE:
        return settings.metrics_port + BESIDE[name]
    return settings.metrics_port + int(number) if number.isascii() and number.isdigit() else None


def gauge(
    name: str, what: str, values: Mapping[str, float] | float, label: str = ""
) -> GaugeMetricFamily:
    """A gauge, or one for each value of a label. Labels are words of ours, never people's."""
    family = GaugeMetricFamily(f"callcenter_{name}", what, labels=[label] if label else None)
    for value, number in values.items() if isinstance(values, Mapping) else (("", values),):
        family.add_metric([value] if label else [], number)
    return family


def counter(
    name: str, what: str, values: Mapping[str, float] | float, label: str = ""
) -> CounterMetricFamily:
    """A counter that only grows while the process lives; Prometheus adds `_total`."""
    family = CounterMetricFamily(f"callcenter_{name}", what, labels=[label] if label else None)
    for value, number in values.items() if isinstance(values, Mapping) else (("", values),):
        family.add_metric([value] if label else [], number)
    return family


@asynccontextmanager
async def serve_metrics(port: int | None, figures: Figures, needs: Needs) -> AsyncIterator[None]:
    """Serve the endpoint on this port within the block; None: not at all.

    A port that is in use is logged: no process fails to serve callers for it.
    """
    if port is None:
        yield
        return
    runner = web.AppRunner(_application(figures, needs), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, ADDRESS, port).start()
        except OSError as exc:
            log.error("metrics unavailable: port %d: %s", port, exc.strerror)
        yield
    finally:
        await runner.cleanup()


def _application(figures: Figures, needs: Needs) -> web.Application:
    process = ProcessCollector(registry=None)

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_: web.Request) -> web.Response:
        needs_met = dict(await needs())
        status = 200 if all(needs_met.values()) else 503
        word = "ready" if status == 200 else "not ready"
        return web.json_response({"status": word, "needs": needs_met}, status=status)

    async def metrics(_: web.Request) -> web.Response:
        registry = CollectorRegistry()
        registry.register(process)
        registry.register(_Exposition(await figures()))
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    return app


class _Exposition(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics
