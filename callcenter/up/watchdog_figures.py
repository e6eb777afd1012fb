"""What the watchdog tells whoever watches it: it needs neither of the servers, nor does this."""

from collections.abc import Mapping

from prometheus_client.core import Metric

from callcenter.asterisk.lease import Hold
from callcenter.asterisk.watchdog import Watchdog
from callcenter.up.observed import counter, gauge


class WatchdogFigures:
    """Of one watchdog."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog

    async def figures(self) -> list[Metric]:
        it = self._watchdog
        connected = {"ari": float(it.ari.connected.is_set())}
        return [
            gauge("controllers", "That live, as it hears.", len(it.lives.roll.serving)),
            gauge("events_behind_seconds", "Since the switch was heard.", it.lease.unheard),
            gauge("switch_connected", "Whether the switch is there.", connected, "by"),
            counter("left_to_fallback", "Callers of dead controllers.", it.left_to_fallback),
        ]

    async def needs(self) -> Mapping[str, bool]:
        """A connection that is there may be half open, or tell nothing: hence `signs`."""
        it = self._watchdog
        return {"ari": it.ari.connected.is_set(), "signs": it.lease.hold is Hold.SURE}
