"""Seals withheld numbers for a trace in danger, where a legal basis is set."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.caller_id import CallerId
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.callers.sealed_numbers.rules import HEADERS, find_number
from callcenter.telephony.callers.sealed_numbers.sealing import seal_number
from callcenter.telephony.calls.journal.call_record import CallRecord
from callcenter.telephony.calls.ports import LegHungUp

log = logging.getLogger(__name__)


class NumberSealer:
    """Reads a withheld number from the INVITE, which Asterisk alone has, and keeps it sealed.

    In clear it is in no variable, event, log or store, and here for as long as sealing takes. A
    caller whom the fallback serves has no controller, and nothing is kept.
    """

    def __init__(self, settings: Settings, alert: Callable[[str, str], Awaitable[None]]) -> None:
        """`alert` tells of the call whose number is lost, and why."""
        self._basis = settings.trace_legal_basis
        self._keys = [*filter(None, [settings.trace_key]), *settings.recovery_keys]
        self._keep_for = timedelta(hours=settings.trace_hours)
        self._alert = alert
        self._tasks = BackgroundTasks()

    def begin(self, channel: Channel, record: CallRecord, caller: CallerId) -> None:
        """Begin to seal the number of a caller who withholds it; returns at once."""
        if self._basis is not None and caller.kind == "withheld":
            self._tasks.spawn(self._seal(channel, record, self._basis))

    async def _seal(self, channel: Channel, record: CallRecord, basis: str) -> None:
        try:
            number = find_number([await channel.read_header(name) for name in HEADERS])
            if number is not None:
                sealed = seal_number(record.appeal_id, number, self._keys)
                record.seal_number(sealed, basis, self._keep_for)
        except LegHungUp as exc:
            log.warning("withheld number not sealed: call %s: %s", channel.id, exc)
        except CallcenterError as exc:
            await self._alert(channel.id, str(exc))
        except Exception as exc:  # of pyrage, say; its words may hold the number
            await self._alert(channel.id, type(exc).__name__)
