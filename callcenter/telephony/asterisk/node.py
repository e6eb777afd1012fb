"""One Asterisk, for one controller: connection, fence, membership, channels, resync."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ari import Ari, AriRequestFailed, ChannelNotFound, Event
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.telephony.asterisk.cluster.admission import AdmissionControl
from callcenter.telephony.asterisk.cluster.member_files import is_taken_over
from callcenter.telephony.asterisk.cluster.membership import ClusterMembership
from callcenter.telephony.asterisk.fence import Fence
from callcenter.telephony.calls.conversation.feature_codes import extension_of

log = logging.getLogger(__name__)

CLAIM_LIMIT = 1.0  # seconds from a claim until the call is ours or another's; takes milliseconds


class AsteriskNode:
    """One controller's part of one Asterisk; `ari` and `membership` must be running.

    Register for its events (`on_*`, `channels.on_call`) before either runs. An event for which
    nobody registered changes nothing. Handlers that are no coroutines must not block.
    """

    def __init__(self, settings: Settings, instance: str, password: str) -> None:
        """`instance` is the unique name of this run of the controller."""
        self.fence = Fence(lambda: is_taken_over(settings.members, instance))
        self.ari = Ari(
            port=settings.ari_port,
            password=password,
            application=instance,
            on_event=self._dispatch,
            on_connected=self._resync,
            fence=self.fence,
        )
        self.channels = ChannelRegistry(self.ari)
        self.membership = ClusterMembership(
            self.ari,
            self.fence,
            settings.members,
            self._take_over,
            AdmissionControl(settings.admission_limit),
        )
        self._is_claiming = True
        self._claims: set[str] = set()  # channels claimed of late, and not here yet
        self._claim_ended = asyncio.Event()
        self._dead_handler: Callable[[str, bool], Awaitable[None]] | None = None
        self._resync_handler: Callable[[], None] | None = None
        self._restart_handler: Callable[[datetime, Collection[str]], None] | None = None
        self._startup_time = ""  # of Asterisk, as it was when we compared last
        self._last_heard: datetime | None = None
        self._tasks = BackgroundTasks()

    def on_instance_dead(self, handler: Callable[[str, bool], Awaitable[None]]) -> None:
        """Register what takes over from a dead instance; the flag: it left in order."""
        self._dead_handler = handler

    def on_resynced(self, handler: Callable[[], None]) -> None:
        """Register for the end of each resync: what Asterisk has is compared with what we have."""
        self._resync_handler = handler

    def on_asterisk_restarted(self, handler: Callable[[datetime, Collection[str]], None]) -> None:
        """Register for another Asterisk process than before.

        The handler gets the time at which the former one was heard last, and the ids of the
        channels that ended with it.
        """
        self._restart_handler = handler

    def accepts_calls(self) -> bool:
        """Whether calls may begin here: not shutting down, and Asterisk is heard."""
        is_connected = self.ari.connected.is_set() and self.membership.hears
        return self._is_claiming and is_connected and not self.fence.is_fenced

    def stop_claiming(self) -> None:
        """Leave calls that are offered from now on to other controllers, permanently."""
        self._is_claiming = False

    async def settle_claims(self) -> None:
        """Return when no claim is under way: each call is ours by now, or another's.

        Whoever leaves before that may be given a caller whom nobody serves.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(CLAIM_LIMIT):
                while self._claims:
                    self._claim_ended.clear()
                    await self._claim_ended.wait()

    def living_instances(self) -> set[str]:
        """This instance and the others that are heard."""
        return {self.ari.application, *self.membership.alive}

    # Events of Asterisk

    def _dispatch(self, event: Event) -> None:
        kind = event["type"]
        self.membership.heard()
        if kind == "ChannelUserevent":
            self.membership.on_event(event)
        elif kind == "CallBroadcast":
            if self._is_claiming and self._admits(event["channel"]):
                self._tasks.spawn(self._claim(event["channel"]["id"]))
        else:
            self.channels.handle(kind, event)
            if kind == "StasisStart":
                self._end_claim(event["channel"]["id"])

    def _admits(self, channel: Event) -> bool:
        """Whether we claim it now. The fallback serves callers; what a consultant dials nobody."""
        is_of_consultant = extension_of(channel["name"]) is not None
        return is_of_consultant or self.membership.admission.admits(time.monotonic())

    async def _claim(self, channel_id: str) -> None:
        self._claims.add(channel_id)
        # A caller who leaves this moment never begins.
        asyncio.get_running_loop().call_later(CLAIM_LIMIT, self._end_claim, channel_id)
        try:
            await self.ari.request(
                "POST",
                "events/claim",
                {"channelId": channel_id, "application": self.ari.application},
            )
        except (ChannelNotFound, AriRequestFailed):
            self._end_claim(channel_id)  # another controller was first, or the caller left
        except Exception as exc:
            log.error("claim failed: call %s: %s", channel_id, exc)

    def _end_claim(self, channel_id: str) -> None:
        self._claims.discard(channel_id)
        self._claim_ended.set()

    async def _take_over(self, instance: str, in_order: bool) -> None:
        if self._dead_handler is not None:
            await self._dead_handler(instance, in_order)

    async def _resync(self) -> None:
        """After each connection: which of our calls vanished meanwhile, or finished?"""
        if self._last_heard is None:  # else this is another attempt
            self._last_heard = datetime.now(UTC) - timedelta(
                seconds=self.membership.seconds_since_heard
            )
        await self.membership.await_echo()
        await self.membership.look_for_former()
        self.membership.turn()  # the others know at once that we serve
        info = await self.ari.request("GET", "asterisk/info", {"only": "status"})
        before, self._startup_time = self._startup_time, info["status"]["startup_time"]
        is_restarted = before not in ("", self._startup_time)
        held = self.channels.all()  # those that come while we ask are not missing
        present = {each["id"]: each for each in await self.ari.request("GET", "channels")}
        missing = {channel.id for channel in held} - present.keys()
        if is_restarted and self._restart_handler is not None:
            self._restart_handler(self._last_heard, missing)
        self._last_heard = None
        for channel in held:
            if channel.id not in missing:
                await channel.catch_up(present[channel.id])
            elif before == self._startup_time:  # an ordinary hang-up while we were cut off
                channel.handle({"type": "StasisEnd"})
            else:
                channel.mark_lost()
        self.membership.judge_lateness()
        self._notify_resynced()

    def _notify_resynced(self) -> None:
        if self._resync_handler is not None:
            self._resync_handler()
