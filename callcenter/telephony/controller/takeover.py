"""Takeover: resume the calls of a dead controller (see `asterisk.cluster.membership`)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.cluster import orphaned_calls
from callcenter.telephony.asterisk.cluster.orphaned_calls import OrphanedCall, OrphanedChannels
from callcenter.telephony.asterisk.fence import Fenced
from callcenter.telephony.asterisk.resource_ids import ORIGINATED_PREFIX, caller_channel_of
from callcenter.telephony.callbacks import store as callbacks
from callcenter.telephony.calls.call_state import CallState, choose_state
from callcenter.telephony.calls.conversation.events import OngoingConversation
from callcenter.telephony.calls.conversation.feature_codes import extension_of
from callcenter.telephony.calls.conversation.participants import (
    ConsultantParty,
    ExternalParty,
    ThirdParty,
)
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.controller.lost_call_recovery import LostCallRecovery

log = logging.getLogger(__name__)

RETRY_INTERVAL = 0.5  # seconds before what was taken by halves is tried again
#: Seconds after which a call that cannot be restored is left to the fallback: with the attempt that
#: is under way a caller hears nothing for ten at most.
RESTORE_LIMIT = 6.0
LATE_RETRY_INTERVAL = 2.0  # seconds before another attempt then: a conversation may go on for long
ROSTER_TIMEOUT = 2.0  # seconds: callers are not to wait for a database that is away


@dataclass(frozen=True, slots=True)
class ResumedCall:
    """A call to go on with; `places` are further ids under which the distributor may have it.

    `state` is None for a call of which nothing is recorded: it begins anew.
    """

    leg: Channel
    state: CallState | None
    conversation: OngoingConversation | None
    places: tuple[str, ...]
    in_order: bool


@dataclass(frozen=True, slots=True)
class _ConsultantRef:
    id: UUID
    extension: str


class CallsTakenByHalves(OperationFailed):
    """Some calls of a dead controller could not be moved whole, or restored."""


class Takeover:
    """Takes over calls of dead controllers, for one controller."""

    def __init__(
        self,
        dependencies: CallDependencies,
        recovery: LostCallRecovery,
        resume: Callable[[ResumedCall], None],
        end_lost_call: Callable[[Channel], Awaitable[None]],
    ) -> None:
        """`resume` begins to serve a call, and returns at once.

        `end_lost_call` tells a consultant that the request cannot be met now, and hangs up.
        """
        self._switch = dependencies.switch
        self._node = dependencies.switch.node
        self._channels = dependencies.switch.channels
        self._distributor = dependencies.distributor
        self._queue = dependencies.queue
        self._engine = dependencies.engine
        self._call_states = dependencies.call_states
        self._recovery = recovery
        self._resume = resume
        self._end_lost_call = end_lost_call
        self.turn = asyncio.Lock()
        self._tasks = BackgroundTasks()
        #: By instance, channels of calls that could not be taken over whole yet.
        self._half: dict[str, frozenset[str]] = {}

    async def take_over(self, instance: str, in_order: bool) -> None:
        """Go on with all that this instance had. Raises OperationFailed; is to be repeated then.

        Not while some calls are taken by halves: only we know of them, so the claim stays ours.
        What cannot be restored is left to the fallback, but for conversations: they go on.
        """
        began_at, in_vain = time.monotonic(), 0
        while True:
            try:
                return await self._take_over(instance, in_order)
            except Fenced:
                raise
            except Exception as exc:
                if not self._half.get(instance):
                    raise
                is_ours = not isinstance(exc, OperationFailed)
                log.error("takeover incomplete: %s: %s", instance, exc, exc_info=is_ours)
                in_vain += isinstance(exc, CallsTakenByHalves)
            # One attempt may have taken that long because we are late ourselves.
            is_late = in_vain > 1 and time.monotonic() - began_at >= RESTORE_LIMIT
            if is_late:
                await self._leave_to_fallback(instance)
            await asyncio.sleep(LATE_RETRY_INTERVAL if is_late else RETRY_INTERVAL)

    async def _take_over(self, instance: str, in_order: bool) -> None:
        """Calls are resumed concurrently: one slow dependency delays all of them once."""
        # A controller that has just begun knows nobody yet, and would adopt no lease.
        with suppress(TimeoutError):
            async with asyncio.timeout(ROSTER_TIMEOUT):
                await self._distributor.roster_loaded.wait()
        async with self.turn:  # a channel may be named with two dead instances
            half = self._half.get(instance, frozenset())
            left = await self._find_orphans(instance)
            for each in sorted(half - left.orphans):  # hung up meanwhile
                self._channels.untrack(self._channels.track(each))
            taken = await orphaned_calls.take_over(self._channels, left)
            self._half |= {instance: taken.half}
        is_needed = bool(half or taken.calls or left.orphans)
        if is_needed:
            log.warning("takeover started: %s: %d calls", instance, len(taken.calls))
        await asyncio.gather(
            *(self._restore_call(call, instance, in_order) for call in taken.calls)
        )
        for each in sorted(left.stranded_consultants):
            self._tasks.spawn(self._end_stranded_call(left, each))
        for bridge in left.callerless_conversations:
            await self._recovery.close_conversation(caller_channel_of(bridge))
        if half := self._half[instance]:
            raise CallsTakenByHalves(f"{len(half)} channels could not be taken over whole")
        del self._half[instance]
        if is_needed:
            log.warning("takeover finished: %s", instance)
        self._tasks.spawn(self._release_callbacks(instance))
        if in_order:
            self._tasks.spawn(self._recovery.close_hung_up_during_handover(self._call_states.load))
        else:
            self._recovery.request_reconciliation()

    async def _find_orphans(self, instance: str) -> OrphanedChannels:
        living = self._node.living_instances()
        return await orphaned_calls.find_orphans(self._node.ari, instance, living, self._half)

    async def _leave_to_fallback(self, instance: str) -> None:
        """Leave callers to the fallback whose calls cannot be restored. Raises Fenced."""
        try:
            async with self.turn:
                orphaned = await self._find_orphans(instance)
                left = await orphaned_calls.leave_to_fallback(self._node.ari, orphaned)
        except Fenced:
            raise
        except OperationFailed as exc:
            log.error("calls not left to the fallback yet: %s: %s", instance, exc)
            return
        for each in left:
            await self._queue.alert_call_not_restored(each)

    async def _restore_call(self, call: OrphanedCall, instance: str, in_order: bool) -> None:
        try:
            recorded = await self._load_state(call)
            if recorded is None and call.leg.id.startswith(ORIGINATED_PREFIX):
                await self._end(call)
            else:
                state = self._with_unrecorded_start(call, recorded)
                conversation, places = await self._restore_conversation(
                    call, state, is_unrecorded=state is not recorded
                )
                self._resume(ResumedCall(call.leg, state, conversation, places, in_order))
        except Fenced:
            raise
        except Exception:
            log.exception("takeover incomplete: call %s", call.leg.id)
            self._half[instance] |= {each.id for each in (call.leg, *call.inside)}

    async def _end_stranded_call(self, left: OrphanedChannels, leg: str) -> None:
        try:
            await self._end_lost_call(await orphaned_calls.take_leg(self._channels, left, leg))
        except OperationFailed as exc:  # it is leaked now, and ends
            log.error("takeover incomplete: consultant's channel %s: %s", leg, exc)

    async def _load_state(self, call: OrphanedCall) -> CallState | None:
        """The saved state; that of the appeal where it is missing, or not of who is there."""
        others = [extension_of(each.name) for each in call.inside if each is not call.leg]
        saved = await self._call_states.load(call.leg.id)
        if saved is not None and (not others or saved.is_with(others)):
            return saved
        return choose_state(saved, await self._recovery.reconstruct_state(call.leg.id), others)

    def _with_unrecorded_start(
        self, call: OrphanedCall, state: CallState | None
    ) -> CallState | None:
        """The state with a conversation that began a moment before its controller ended."""
        if call.leg not in call.inside:
            return state
        extensions = [extension_of(each.name) for each in call.inside if each is not call.leg]
        extensions_on_roster = [
            e for e in extensions if e is None or self._distributor.find_consultant(e)
        ]
        before = state or CallState(str(uuid4()))  # Redis was emptied, and the database is away
        now = before.with_unrecorded_start(extensions_on_roster, time.time())
        return state if now is before else now

    async def _end(self, call: OrphanedCall) -> None:
        """End a call of ours of which nothing is recorded."""
        for each in dict.fromkeys((call.leg, *call.inside)):
            await self._channels.hang_up(each)
        if call.bridge:
            await self._channels.destroy(call.bridge)

    async def _restore_conversation(
        self, call: OrphanedCall, state: CallState | None, *, is_unrecorded: bool
    ) -> tuple[OngoingConversation | None, tuple[str, ...]]:
        """The conversation as it was; parties that do not belong there are let go."""
        others = [each for each in call.inside if each is not call.leg]
        if call.bridge is None or state is None or not state.is_talking or not others:
            for each in others:
                await self._channels.hang_up(each)
            if call.bridge:
                inside = [each for each in call.inside if each is call.leg]
                async with self._switch.existing_bridge(call.bridge, call.leg, inside):
                    pass  # the caller leaves it before it ends, and hears what comes next
            return None, ()
        # First what may fail: nobody would end the lease of a consultant that was adopted before.
        recording = UUID(state.recording) if state.recording else None
        consultant: ConsultantParty | None = None
        third_party: ThirdParty | None = None
        places: tuple[str, ...] = ()
        for each in others:
            extension = extension_of(each.name)
            if state.consultant and extension == state.consultant:
                consultant, places = await self._restore_consultant(each, state, call.leg.id)
            elif third_party is None and (extension is None or extension == state.guest):
                third_party = await self._restore_third_party(each, state, call.leg.id)
            else:  # a supervisor
                await self._channels.hang_up(each)
        bridge = self._switch.existing_bridge(call.bridge, call.leg, [*call.inside])
        is_held = state.is_aside and call.leg not in call.inside
        conversation = OngoingConversation(
            bridge,
            consultant,
            third_party,
            is_on_hold=is_held,
            is_muted=state.is_muted,
            recording=recording,
            is_recording_confirmed=state.is_proved,
            is_unrecorded=is_unrecorded,
        )
        return conversation, places

    async def _restore_consultant(
        self, leg: Channel, state: CallState, call_id: str
    ) -> tuple[ConsultantParty, tuple[str, ...]]:
        on_roster = self._distributor.find_consultant(state.consultant)
        consultant = on_roster or _ConsultantRef(UUID(state.consultant_id), state.consultant)
        side = AsyncExitStack()
        places: tuple[str, ...] = ()
        if on_roster is not None:
            place = await side.enter_async_context(
                self._distributor.adopt(on_roster, self._node.living_instances(), call_id)
            )
            places = (place.call_id,)
        side.push_async_callback(self._channels.hang_up, leg)
        return ConsultantParty(consultant, leg, side), places

    async def _restore_third_party(
        self, leg: Channel, state: CallState, call_id: str
    ) -> ThirdParty:
        consultant = self._distributor.find_consultant(state.guest)
        side = AsyncExitStack()
        if consultant is None:
            side.push_async_callback(self._channels.hang_up, leg)
            return ExternalParty(state.guest, leg, side)
        await side.enter_async_context(
            self._distributor.adopt(consultant, self._node.living_instances(), f"{call_id}+guest")
        )
        side.push_async_callback(self._channels.hang_up, leg)
        return ConsultantParty(consultant, leg, side)

    async def _release_callbacks(self, instance: str) -> None:
        """Release the claims of the dead at once; else they would last ten seconds more."""
        try:
            async with unit_of_work(self._engine) as connection:
                await callbacks.release(connection, instance)
        except (SQLAlchemyError, OSError) as exc:
            log.error("callbacks of %s not released yet: %s", instance, type(exc).__name__)
