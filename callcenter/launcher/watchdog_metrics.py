"""Metrics of the watchdog; like it they need neither PostgreSQL nor Redis."""

from collections.abc import Mapping

from prometheus_client.core import Metric

from callcenter.platform.monitoring.metrics_server import counter, gauge
from callcenter.telephony.asterisk.cluster.watchdog import Watchdog


class WatchdogMetrics:
    """Metrics of one watchdog."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog

    async def figures(self) -> list[Metric]:
        it = self._watchdog
        connected = {"ari": float(it.ari.connected.is_set())}
        return [
            gauge("controllers", "That live, as it hears.", len(it.membership.serving)),
            gauge(
                "events_behind_seconds",
                "Since the switch was heard.",
                it.membership.seconds_since_heard,
            ),
            gauge("switch_connected", "Whether the switch is there.", connected, "by"),
            counter("left_to_fallback", "Callers of dead controllers.", it.handed_to_fallback),
        ]

    async def needs(self) -> Mapping[str, bool]:
        """Readiness: `signs` is added because an open connection may be dead."""
        it = self._watchdog
        return {"ari": it.ari.connected.is_set(), "signs": it.membership.hears}
