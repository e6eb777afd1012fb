"""The whole telephone side for tests: a real Asterisk, two controllers, PostgreSQL and Redis.

The controllers run in this process, so that a test can look into them; all else is as in
production. Callers and consultants are real SIP telephones with sound.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealRow, EventRow
from callcenter.appeals.calls.tables import appeal
from callcenter.bootstrap.controller import ControllerProcess
from callcenter.bootstrap.softphone_provisioning import sip_accounts
from callcenter.consultants import store as consultants
from callcenter.consultants.accounts import digest_of
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import MISSED, PresenceState
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing import keys
from callcenter.recordings.store import RecordingRow
from callcenter.sipphone.audio import RATE, Codec, Pcm, decode, resembles
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.sipphone.sip import user_of
from callcenter.telephony.acd.distributor import PLAIN_RULES
from callcenter.telephony.acd.rules.call_commands import CallCommand, CommandRefused
from callcenter.telephony.calls.outcomes import CallEvent
from tests.asterisk.switch import (
    CONSULTANTS,
    OPERATOR,
    PASSWORD,
    UNIFIED_CENTER,
    Switch,
    with_free_ports,
)
from tests.calls.stall_meter import Stalls
from tests.orders import command_client
from tests.polling import NotInTime, until
from tests.services import new_folder, opened_as, write_secrets

log = logging.getLogger(__name__)

CREW = {"201": ("kk", "ru"), "202": ("ru",), "203": ("kk",), "204": ("kk", "ru")}
LIMIT = 30.0  # seconds, on a machine that is busy
CLAIM_TIMEOUT = float(Settings.model_fields["claim_timeout"].default)  # for the fallback's tests
#: Seconds in which whoever was hung up on leaves the queue, which goes on when their call is over;
#: a lease that nobody ends expires later.
LEAVING = 3.0
UNIFIED_USER = "1414"
CALLER_TONE, CONSULTANT_TONE = 440.0, 1000.0
OVERLAP = 2 * RATE  # samples: what began in what was looked through already and ended after it
HEARD = 0.8  # likeness from which a prompt was surely played


@dataclass
class CallCenter:
    """What a test of calls may use."""

    settings: Settings
    switch: Switch
    controllers: list[ControllerProcess]
    engine: AsyncEngine
    redis: Redis
    center: Phone  # of 1414; see `unified_center`
    stalls: Stalls = field(default_factory=Stalls)  # since the test began that uses it now
    operator: str = OPERATOR  # the address of the trunk's telephones
    consultants: str = CONSULTANTS  # that of softphones

    @asynccontextmanager
    async def caller(
        self, number: str = "+77011234567", codecs: Sequence[Codec] = ("PCMA", "PCMU")
    ) -> AsyncIterator[SipCall]:
        """Somebody who has dialled 111 and was answered."""
        async with self.phone(number, codecs) as phone:
            call = await phone.call("111")
            await call.answered()
            call.send_silence()
            try:
                # Strict RTP learns the caller's address from the first packets and may drop them:
                # nobody presses a key that early.
                await self.hears_something(call)
                await asyncio.sleep(0.1)
                yield call
            except BaseException:
                log.exception("what the appeal of %s says: %s", number, await self.story(number))
                raise

    def phone(
        self, number: str = "+77011234567", codecs: Sequence[Codec] = ("PCMA", "PCMU")
    ) -> Phone:
        """A telephone at the operator's trunk."""
        return Phone(
            address=self.operator,
            server=self.switch.sip_for(self.operator),
            user=number,
            codecs=codecs,
        )

    def softphone(self, extension: str, *, rings: bool = True) -> Phone:
        """A consultant's telephone, not registered yet."""
        return Phone(
            address=self.consultants,
            server=self.switch.sip_for(self.consultants),
            user=extension,
            password=PASSWORD,
            rings=rings,
        )

    @asynccontextmanager
    async def consultant(
        self, extension: str = "201", *, rings: bool = True
    ) -> AsyncIterator[Phone]:
        """A consultant's softphone, registered, and known as free."""
        async with self.softphone(extension, rings=rings) as phone:
            await phone.register()
            await until(lambda: self._is_idle(extension), f"{extension} is free")
            yield phone
        await until(lambda: self._is_unavailable(extension), f"{extension} is away")

    @asynccontextmanager
    async def paused_consultant(self, extension: str = "201") -> AsyncIterator[PresenceService]:
        """A consultant who is signed in, paused until the presence service given says otherwise."""
        presence = PresenceService(self.redis, PLAIN_RULES)
        async with self.consultant(extension):
            await presence.ask(extension, PresenceState.PAUSED, by="user:test")
            try:
                yield presence
            finally:
                await presence.ask(extension, PresenceState.READY, by="user:test")

    @asynccontextmanager
    async def unified_center(self) -> AsyncIterator[Phone]:
        """The telephone of 1414 in the hands of a test. It is there all the time, and rings.

        Asterisk repeats an INVITE for 32 s that nobody answers, also after its caller has left
        (RFC 3261, 17.1.1.2): a telephone that is there for one test alone gets those of others.
        """
        self.center.forget_missed_calls()
        try:
            yield self.center
        finally:
            await asyncio.gather(*(call.hang_up() for call in self.center.calls))

    def network(self, number: str) -> Phone:
        """The telephone that every call to the network reaches: only one at a time."""
        return Phone(
            address=OPERATOR, port=self.switch.network_port, server=self.switch.sip, user=number
        )

    async def _is_idle(self, extension: str) -> bool:
        return await self.redis.zscore("desk:idle", extension) is not None

    async def _is_unavailable(self, extension: str) -> bool:
        return not await self._is_idle(extension)

    # What came of a call

    async def appeal(self, caller: str) -> AppealRow:
        """The newest appeal of this caller, once it has an outcome."""
        found: list[AppealRow] = []

        async def has_outcome() -> bool:
            newest = await self.live_appeal(caller)
            found[:] = [] if newest is None else [newest]
            return bool(found) and found[0].outcome is not None

        await until(has_outcome, f"the appeal of {caller} has an outcome")
        return found[0]

    async def live_appeal(self, caller: str) -> AppealRow | None:
        """The newest appeal of this caller, with or without an outcome."""
        newest = select(appeal.c.id).where(appeal.c.caller_number == caller)
        latest_first = newest.order_by(appeal.c.received_at.desc(), appeal.c.id.desc())
        async with unit_of_work(self.engine) as connection:
            found = await connection.scalar(latest_first.limit(1))
            return None if found is None else await appeals.find_by_id(connection, found)

    async def events(self, appeal: AppealRow) -> list[EventRow]:
        async with unit_of_work(self.engine) as connection:
            return await appeals.events(connection, appeal.id)

    async def moments(self, appeal: AppealRow) -> list[str]:
        return [event.kind for event in await self.events(appeal)]

    async def story(self, caller: str) -> str:
        """The appeal's events with seconds since the call came in, to read in a failed test."""
        appeal = await self.live_appeal(caller)
        if appeal is None:
            return "there is none"
        return "; ".join(
            f"{(event.at - appeal.received_at).total_seconds():.2f} {event.kind} {event.detail}"
            for event in await self.events(appeal)
        )

    async def recordings(self, appeal: AppealRow) -> list[RecordingRow]:
        async with unit_of_work(self.engine) as connection:
            return await recordings.of_appeal(connection, appeal.id)

    def recorded(self, recording: RecordingRow) -> tuple[Pcm, Pcm]:
        """Left (the caller) and right (the consultant) of a file as the switch wrote it."""
        frames = np.fromfile(self.settings.spool / recording.spool_name, dtype="<i2")
        return frames[0::2], frames[1::2]

    def prompt(self, language: str, prompt: str) -> Pcm:
        path = self.settings.prompts / language / f"{prompt}.alaw"
        return decode(path.read_bytes(), "PCMA")

    def was_heard(self, call: SipCall, language: str, prompt: str) -> bool:
        """Whether the beginning of a prompt was among the sound that reached the caller."""
        return resembles(call.heard.joined(), self.prompt(language, prompt)) > HEARD

    async def hears(
        self,
        call: SipCall,
        language: str,
        prompt: str,
        limit: float = LIMIT,
        since: float | None = None,
    ) -> None:
        """Wait until the caller has heard the first second of a prompt, since then if given.

        What was looked through is not looked through again: that alone would keep a core busy.
        """
        sought, looked_through = self.prompt(language, prompt), 0

        def is_new() -> bool:
            nonlocal looked_through
            sound = call.heard.joined(since)
            begin, looked_through = looked_through, max(0, len(sound) - OVERLAP)
            return resembles(sound[begin:], sought) > HEARD

        async def heard() -> bool:
            return await asyncio.to_thread(is_new)

        try:
            await until(heard, f"the caller hears {language}/{prompt}", limit)
        except NotInTime as exc:
            played = await asyncio.to_thread(self._prompts_in, call.heard.joined(since))
            raise NotInTime(f"{exc}; but {', '.join(played) or 'no prompt'}") from None

    def _prompts_in(self, sound: Pcm) -> list[str]:
        """All prompts that were played within this sound."""
        files = sorted(self.settings.prompts.glob("*/*.alaw"))
        return [
            f"{file.parent.name}/{file.stem}"
            for file in files
            if resembles(sound, self.prompt(file.parent.name, file.stem)) > HEARD
        ]

    async def hears_something(self, call: SipCall) -> None:
        """Wait until sound reaches somebody who has answered: the two are connected."""

        async def heard() -> bool:
            return call.heard.first_packet_at is not None

        await until(heard, "sound reaches the one who answered")

    async def talk_shortly(self, leg: SipCall) -> None:
        """Answer, be connected, hang up.

        A consultant may hear the caller before the controller knows that the two are connected:
        who hangs up so early has not talked.
        """
        await leg.answer()
        await self.hears_something(leg)
        assert leg.invite is not None
        if (called := user_of(leg.invite.uri)) != UNIFIED_USER:
            await self.takes_orders(called)
        await leg.hang_up()

    async def takes_orders(self, extension: str) -> None:
        """Wait until a conversation carries out commands: a moment after the two are heard."""
        commands = command_client(self.redis)

        async def answers() -> bool:
            try:
                await commands.send_to_consultant(extension, CallCommand("status", "self", {}))
            except CommandRefused:
                return False
            return True

        await until(answers, "the conversation takes orders")

    async def end_pauses(self) -> None:
        """Let all who missed calls in tests before be ready: only a person ends such a pause."""
        presence = PresenceService(self.redis, PLAIN_RULES)
        for status in await presence.everyone():
            if status.state is PresenceState.PAUSED or status.reason == MISSED:
                await presence.ask(status.extension, PresenceState.READY, by="user:test")

    async def awake(self) -> None:
        """Wait until all controllers serve: the loop they live in stood still between two tests."""

        async def serving() -> bool:
            connected = all(
                each.ami.connected.is_set() and each.node.accepts_calls()
                for each in self.controllers
            )
            seconds, _ = await self.redis.time()
            alive = await self.redis.zcount("desk:controllers", seconds + 2, "+inf")
            return connected and alive >= len(self.controllers)

        await until(serving, "all controllers serve")

    async def assert_no_resources_left(self) -> None:
        """No channel, bridge, file, task, lease or place in the queue is left."""
        await self.switch.assert_no_resources_left()
        await until(self._no_calls, "no call is left in a controller")
        for controller in self.controllers:
            await controller.journal.flush()
        for key in ("desk:waiting", "desk:calls", "desk:held"):
            await until(partial(self._lacks, key), f"{key} is gone", LEAVING)

    async def _lacks(self, key: str) -> bool:
        return not await self.redis.exists(key)

    async def _no_calls(self) -> bool:
        return not any(controller.calls for controller in self.controllers)


def last_sound(channel: Pcm) -> Pcm:
    """The last tenth of a second of what somebody said, as it was recorded, but for its last 50 ms.

    On a busy machine the recording ends well after the telephone that hung up.
    """
    return np.trim_zeros(channel, "b")[-1200:-400]


@asynccontextmanager
async def running_call_center(
    folder: Path,
    prompts: Path,
    controllers: Sequence[str] = ("line-1", "line-2"),
    crew: Mapping[str, Sequence[str]] = CREW,
    browsers: Collection[str] = (),
    claim_timeout: float = LIMIT,
    **chosen: object,
) -> AsyncIterator[CallCenter]:
    """A call center in a new folder of about this name, its crew on the roster, ready for calls.

    `crew` are the consultants' languages by extension; the telephone of some is in `browsers`.
    However busy the machine, nobody is left to the fallback unless `claim_timeout` is shorter.

    `prompts` are built already; `chosen` are settings, among them the two servers, which are
    there and whose Redis is emptied.
    """
    folder = new_folder(folder)
    settings = with_free_ports(
        Settings(
            _env_file=None,
            var=folder,
            recordings=folder / "recordings",
            trace_key=keys.make(folder / "keys"),
            sign_in_required=False,  # a telephone that registers is at work: few tests dial *10
        ),
        claim_timeout=claim_timeout,
        **chosen,
    )
    settings.spool.mkdir(parents=True)
    write_secrets(settings)
    settings.prompts.symlink_to(prompts)
    engine, redis = open_database(settings), open_redis(settings)
    await redis.flushdb()
    async with unit_of_work(engine) as connection:
        for extension, languages in crew.items():
            await consultants.add(
                connection,
                extension=extension,
                name=f"Consultant {extension}",
                languages=tuple(languages),
                digest=digest_of(extension, PASSWORD),
            )
            await consultants.set_in_browser(connection, extension, extension in browsers)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        stack.push_async_callback(redis.aclose)
        accounts = await sip_accounts(settings)
        switch = await stack.enter_async_context(Switch(settings, accounts))
        running = [
            await stack.enter_async_context(running_controller(settings, name))
            for name in controllers
        ]
        center = await stack.enter_async_context(
            Phone(
                address=UNIFIED_CENTER,
                port=switch.unified_center_port,
                server=switch.sip,
                user=UNIFIED_USER,
            )
        )
        yield CallCenter(settings, switch, running, engine, redis, center)


@asynccontextmanager
async def running_controller(settings: Settings, name: str) -> AsyncIterator[ControllerProcess]:
    """A controller that answers calls; stopped in order at the end."""
    async with (
        opened_as(DatabaseRole.CONTROLLER, settings) as engine,
        open_redis(as_redis_user(settings, RedisUser.CONTROLLER)) as redis,
    ):
        ours = in_role(settings, DatabaseRole.CONTROLLER)
        controller = ControllerProcess(ours, name, engine, redis)
        stop = asyncio.Event()
        running = asyncio.create_task(controller.run(stop))
        ready = asyncio.create_task(controller.ready.wait())
        await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            ready.cancel()
            await running
        try:
            yield controller
        finally:
            stop.set()
            await running


def kinds(*moments: CallEvent) -> list[str]:
    return [moment.value for moment in moments]
