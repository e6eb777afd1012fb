"""Audit entries of orders for calls, written by the process that carries them out."""

import asyncio
import logging
import time
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit import store as audit
from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import CallcenterError, OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.actions import OrderAction
from callcenter.telephony.acd.command_bus import first_id
from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.acd.rules.order_proof import OrderRefusal

AUDIT_TIMEOUT = 2.0  # seconds for the database to take an entry
REPEAT_AFTER = 60.0  # seconds in which the same refusal has one entry

log = logging.getLogger(__name__)


class OrderAudit:
    """Writes the audit entries of one process that carries out orders."""

    def __init__(self, engine: AsyncEngine, process: str) -> None:
        self._engine = engine
        self._process = process
        self._refused_at: dict[tuple[str, ...], float] = {}

    async def record_taken(self, call_id: str, command: CallCommand) -> None:
        """Record an order that lets somebody else into a call, before it is carried out.

        Raises OperationFailed when the entry cannot be written: nobody hears a call without.
        """
        given = {
            name: command.detail[name] for name in ("mode", "extension") if name in command.detail
        }
        detail = {"what": command.what, "consultant": command.consultant, **given}
        detail |= {"by": command.by, "process": self._process}
        try:
            await self._record(OrderAction.TAKEN, f"call:{first_id(call_id)}", detail)
        except (CallcenterError, SQLAlchemyError, OSError, TimeoutError) as exc:
            raise OperationFailed("no entry in the audit log can be made now") from exc

    async def record_ended(self, call_id: str, command: CallCommand) -> None:
        """Record that whoever gave this order was let go of the call; never fails."""
        await self._record_supervision(OrderAction.ENDED, call_id, command, command.consultant)

    async def record_claimed(self, call_id: str, command: CallCommand, consultant: str) -> None:
        """Record that whoever gave this order to join got the caller of a consultant; never fails.

        That is the consultant who is gone, of whom the call was not always when it was joined.
        """
        await self._record_supervision(OrderAction.CLAIMED, call_id, command, consultant)

    async def _record_supervision(
        self, action: OrderAction, call_id: str, command: CallCommand, consultant: str
    ) -> None:
        detail = {
            "supervisor": command.by,
            "extension": command.detail["extension"],
            "consultant": consultant,
        }
        await self._record_done(action, f"call:{first_id(call_id)}", detail)

    async def record_refused(self, why: OrderRefusal, proven: Mapping[str, str]) -> None:
        """Record a refused order, the same one once a minute; never fails.

        `proven` is what a right proof says of it: of any other nothing is worth writing down.
        """
        now, key = time.monotonic(), (why, *proven.values())
        if now - self._refused_at.get(key, -REPEAT_AFTER) < REPEAT_AFTER:
            return
        self._refused_at = {
            each: at for each, at in self._refused_at.items() if now - at < REPEAT_AFTER
        } | {key: now}
        await self._record_done(
            OrderAction.REFUSED, f"process:{self._process}", {"why": why.value, **proven}
        )

    async def _record_done(
        self, action: OrderAction, subject: str, detail: Mapping[str, str]
    ) -> None:
        """Record what this process did by itself; a failure is logged."""
        try:
            await self._record(action, subject, detail)
        except (CallcenterError, SQLAlchemyError, OSError, TimeoutError) as exc:
            log.error("audit entry lost: %s: %s", action.value, type(exc).__name__)

    async def _record(self, action: Action, subject: str, detail: Mapping[str, str]) -> None:
        who = f"system:{self._process}"
        async with asyncio.timeout(AUDIT_TIMEOUT), unit_of_work(self._engine) as connection:
            await audit.record(connection, who=who, action=action, subject=subject, detail=detail)
