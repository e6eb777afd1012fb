"""Lets nobody hear a call without the right to: neither at first, nor once it is lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.errors import CallcenterError, OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.acd.order_audit import OrderAudit
from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    CommandRefused,
    SupervisionMode,
)
from callcenter.telephony.calls.call import Call
from callcenter.telephony.controller.active_calls import ActiveCalls

log = logging.getLogger(__name__)

READ_TIMEOUT = 2.0  # seconds for the database to say whether somebody may hear a call

LEAVE = {"mode": SupervisionMode.LEAVE.value}


class SupervisionGuard:
    """Carries out orders to hear the calls of one controller, and ends what is not permitted."""

    def __init__(
        self,
        engine: AsyncEngine,
        calls: ActiveCalls,
        audit: OrderAudit,
        may_supervise: Callable[[AsyncConnection, CallCommand], Awaitable[bool]],
        changes: Subscription,
    ) -> None:
        """`changes` are those of telephones and people, `consultants.store.CHANGED`."""
        self._engine = engine
        self._calls = calls
        self._audit = audit
        self._may_supervise = may_supervise
        self._changes = changes
        self._orders: dict[str, CallCommand] = {}  # the last one of each call, by its id
        self._tasks = BackgroundTasks()

    async def carry_out(self, call_id: str, order: CallCommand) -> Answer:
        """Begin, change or end a supervision, once its audit entry is committed.

        Raises CommandRefused; OperationFailed when the database does not answer.
        """
        await self._audit.record_taken(call_id, order)
        if order.detail["mode"] == SupervisionMode.LEAVE:
            return await self._find(call_id).commands.dispatch(order)
        if not await self._is_permitted(order):
            raise CommandRefused("you may not hear this conversation")
        call = self._find(call_id)
        answer = await call.commands.dispatch(order)
        self._orders[call_id] = order
        call.on_supervisor_claimed = lambda consultant: self._tasks.spawn(
            self._audit.record_claimed(call_id, order, consultant)
        )
        self._changes.notify()  # of what changed since the right was read nobody is told again
        return answer

    async def run(self) -> None:
        """Look at each supervision after each change and every minute, until cancelled.

        Entries in the audit log that are being made then are made.
        """
        try:
            await self._changes.follow(self._end_forbidden, "rights of supervisors not read")
        finally:
            await asyncio.gather(*self._tasks)

    async def _end_forbidden(self) -> None:
        for call_id, order in list(self._orders.items()):
            if self._calls.find(call_id) is not None and await self._is_permitted(order):
                continue
            await self._end(call_id, order)
            del self._orders[call_id]

    async def _end(self, call_id: str, order: CallCommand) -> None:
        leave = CallCommand(SUPERVISE, order.by, LEAVE, order.consultant)
        try:
            await self._find(call_id).commands.dispatch(leave)
        except CommandRefused:  # the call is over, or the supervisor left before
            return
        log.warning("supervision ended: call %s: %s may hear it no more", call_id, order.by)
        await self._audit.record_ended(call_id, order)

    def _find(self, call_id: str) -> Call:
        call = self._calls.find(call_id)
        if call is None:
            raise CommandRefused("this call is over")
        return call

    async def _is_permitted(self, order: CallCommand) -> bool:
        """Whether the supervisor may. Raises OperationFailed without the database."""
        try:
            async with asyncio.timeout(READ_TIMEOUT), unit_of_work(self._engine) as connection:
                return await self._may_supervise(connection, order)
        except (CallcenterError, SQLAlchemyError, OSError, TimeoutError) as exc:
            raise OperationFailed("the right to hear a call cannot be read now") from exc
