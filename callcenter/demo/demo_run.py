"""The demo: one real call to 111 between scripted telephones, with all results checked.

Everything is checked, not assumed: the sound that the caller heard, both channels of the recording,
the appeal and its one outcome.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import soundfile
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealRow, EventRow
from callcenter.bootstrap.softphone_provisioning import render_asterisk
from callcenter.consultants import service
from callcenter.consultants import store as consultants
from callcenter.consultants.accounts import digest_of, new_password
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import NotOnRoster
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import run_once_in_transaction
from callcenter.platform.storage.redis import open_redis
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.store import RecordingRow
from callcenter.sipphone.audio import Pcm, decode, loudness, resembles
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.cluster.member_files import is_admitting

CALLER = "+77015550111"
EXTENSION, NAME = "900", "Aigul (demo)"
CALLER_HERTZ, CONSULTANT_HERTZ = 440.0, 1000.0
TALK = 5.0  # seconds
STEP_TIMEOUT = 20.0  # seconds for any one thing to happen


@dataclass
class DemoRun:
    """The observations of a run, by wall clock, and the records of the product."""

    seen: dict[str, float] = field(default_factory=dict)
    appeal: AppealRow | None = None
    events: list[EventRow] = field(default_factory=list)
    recording: RecordingRow | None = None

    def note(self, what: str, call: SipCall, moment: str) -> None:
        """Note a moment of a telephone, which counts by the monotonic clock."""
        self.seen[what] = call.moments[moment] + time.time() - time.monotonic()


async def add_consultant(settings: Settings) -> str:
    """Add the demo's consultant to roster and Asterisk; returns the SIP password."""
    password = new_password()
    digest = digest_of(EXTENSION, password)
    extensions = {
        each.extension for each in await run_once_in_transaction(settings, consultants.everyone)
    }
    by = Actor.of_command()
    if EXTENSION in extensions:
        await run_once_in_transaction(
            settings, lambda c: service.set_digest(c, by, EXTENSION, digest)
        )
    else:
        await run_once_in_transaction(
            settings,
            lambda c: service.add_consultant(
                c, by, extension=EXTENSION, name=NAME, languages=CALLER_LANGUAGES, digest=digest
            ),
        )
    await render_asterisk(settings, reload=True)
    return password


async def run_demo(settings: Settings, password: str, say: Callable[[str], None]) -> DemoRun:
    """Run the whole demo. Raises OperationFailed that names the missing step."""
    run = DemoRun()
    server = (str(settings.sip_address), settings.sip_port)
    operator = str(settings.operator_networks[0][0])
    async with (
        Phone(address="127.0.0.4", server=server, user=EXTENSION, password=password) as consultant,
        Phone(address=operator, server=server, user=CALLER) as street,
    ):
        await consultant.register()
        await wait_until(lambda: _is_admitting(settings), "a controller claims new calls")
        await wait_until(
            lambda: _sign_in(settings), "the consultant is signed in, the telephone free"
        )
        say(f"consultant {EXTENSION} has registered a softphone and signed in")
        call = await street.call("111")
        await call.answered()
        say("the caller has dialled 111 and was answered")
        await _choose_russian_and_a_consultant(settings, call, run, say)
        leg = await consultant.next_call(STEP_TIMEOUT)
        await leg.answer()
        say(f"the consultant's softphone rang and was answered; they talk for {TALK:g} seconds")
        await _talk(call, leg)
        await call.hang_up()
        await leg.ended(STEP_TIMEOUT)
        say("the caller has hung up")
    _note_moments(run, call, leg)
    await _collect(settings, run)
    _check_recording(settings, run)
    return run


async def _choose_russian_and_a_consultant(
    settings: Settings, call: SipCall, run: DemoRun, say: Callable[[str], None]
) -> None:
    call.send_silence()
    await _wait_for_prompt(settings, call, "kk/greeting")
    await call.press("2")
    await _wait_for_prompt(settings, call, "ru/emergency_hint")
    say("the caller has heard the greeting, pressed 2, and hears Russian")
    await call.press("1")
    run.seen["caller: pressed 1, for a consultant"] = time.time()


async def _talk(call: SipCall, leg: SipCall) -> None:
    call.send_tone(CALLER_HERTZ)
    leg.send_tone(CONSULTANT_HERTZ)
    await asyncio.sleep(TALK)
    for who, party, hertz in (
        ("the caller", call, CONSULTANT_HERTZ),
        ("the consultant", leg, CALLER_HERTZ),
    ):
        if loudness(party.heard.pcm()[-8000:], hertz) < -30:
            raise OperationFailed(f"the demo failed: {who} did not hear the other")


def _note_moments(run: DemoRun, call: SipCall, leg: SipCall) -> None:
    run.note("caller: INVITE to 111", call, "invite_sent")
    run.note("caller: 200 OK", call, "answered")
    run.note("caller: first sound heard", call, "first_rtp")
    run.note("consultant: INVITE", leg, "invite_received")
    run.note("consultant: 200 OK", leg, "answered_sent")
    run.note("caller: BYE", call, "bye_sent")


async def _collect(settings: Settings, run: DemoRun) -> None:
    """Wait for the appeal's outcome and its stored recording."""

    async def is_stored() -> bool:
        await run_once_in_transaction(settings, lambda connection: _read(connection, run))
        return run.recording is not None

    await wait_until(is_stored, "the appeal has its outcome and its recording is in the store")
    appeal = run.appeal
    if appeal is None or (appeal.outcome, appeal.language) != ("talked", "ru"):
        raise OperationFailed(f"the demo failed: the appeal says {appeal}")


async def _read(connection: AsyncConnection, run: DemoRun) -> None:
    """Read the newest appeal of the register, once it is ours and has its outcome."""
    for row in await appeals.newest(connection, before=None, limit=1):
        if row.outcome is None or row.received_at.timestamp() < run.seen["caller: INVITE to 111"]:
            return
        run.appeal = row
        run.events = await appeals.events(connection, row.id)
        rows = await recordings.of_appeal(connection, row.id)
        run.recording = next((each for each in rows if each.state == "stored"), None)


def _sealed_name(run: DemoRun) -> str:
    """The object name of the recording in the sealed store."""
    if run.recording is None or run.recording.store_name is None:
        raise OperationFailed("the demo failed: there is no recording in the store")
    return run.recording.store_name


def _check_recording(settings: Settings, run: DemoRun) -> None:
    with SealedStore(settings).open(_sealed_name(run)) as audio:
        sound, rate = soundfile.read(audio, dtype="int16")
    if sound.ndim != 2 or sound.shape[1] != 2:
        raise OperationFailed("the demo failed: the recording has not two channels")
    left, right = (np.ascontiguousarray(sound[rate : 4 * rate, side]) for side in (0, 1))
    for side, pcm, own, other in (
        ("left", left, CALLER_HERTZ, CONSULTANT_HERTZ),
        ("right", right, CONSULTANT_HERTZ, CALLER_HERTZ),
    ):
        if loudness(pcm, own) < -20 or loudness(pcm, other) > -60:
            raise OperationFailed(
                f"the demo failed: the {side} channel does not hold its party alone"
            )
    if abs(len(sound) / rate - TALK) > 0.5:
        raise OperationFailed(f"the demo failed: {len(sound) / rate:.2f} s recorded of {TALK:g} s")


async def _is_admitting(settings: Settings) -> bool:
    """Whether a controller claims calls; a slow machine is too late just after the start."""
    return is_admitting(settings.members)


async def _sign_in(settings: Settings) -> bool:
    """Sign the consultant in, as by *10; whether a call could be offered now."""
    async with open_redis(settings) as redis:
        with suppress(NotOnRoster):  # controllers learn of a new one in a moment
            await PresenceService(redis, settings).ask(EXTENSION, PresenceState.READY, by="self")
        return await redis.zscore("desk:idle", EXTENSION) is not None


async def _wait_for_prompt(settings: Settings, call: SipCall, prompt: str) -> None:
    path = settings.prompts / f"{prompt}.alaw"
    reference: Pcm = decode(path.read_bytes(), "PCMA")

    async def is_heard() -> bool:
        return resembles(call.heard.joined(), reference) > 0.8

    await wait_until(is_heard, f"the caller hears {prompt}")


async def wait_until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return as soon as it is true. Raises OperationFailed that says `what` did not happen."""
    deadline = time.monotonic() + STEP_TIMEOUT
    while not await true():
        if time.monotonic() > deadline:
            raise OperationFailed(f"the demo failed: not within {STEP_TIMEOUT:g} s: {what}")
        await asyncio.sleep(0.1)


def timeline(run: DemoRun) -> list[str]:
    """The call in milliseconds from the caller's INVITE, by telephones and by events."""
    start = run.seen["caller: INVITE to 111"]
    rows = [(at - start, what, "telephone") for what, at in run.seen.items()]
    for event in run.events:
        detail = ", ".join(f"{key} {value}" for key, value in event.detail.items() if value)
        rows.append((event.at.timestamp() - start, f"{event.kind} {detail}".strip(), "appeal"))
    return [f"{at * 1000:>9.1f} ms  {side:<9}  {what}" for at, what, side in sorted(rows)]


def fields(settings: Settings, run: DemoRun) -> list[str]:
    """The fields of the appeal and the recording, a line each."""
    appeal, recording = run.appeal, run.recording
    if appeal is None or recording is None:
        raise OperationFailed("the demo failed: there is no appeal with a recording")
    length = (recording.duration_ms or 0) / 1000
    shown = {
        "number": appeal.number,
        "channel": appeal.channel,
        "language": appeal.language,
        "caller": mask(appeal.caller_number or ""),
        "consultant": f"{appeal.consultant_name}, {appeal.consultant_extension}",
        "received at": _format(appeal.received_at),
        "ended at": _format(appeal.ended_at),
        "outcome": appeal.outcome,
        "recording": settings.recordings / _sealed_name(run),
        "length": f"{length:.3f} s, {recording.bytes} bytes, sha256 {recording.sha256}",
        "left": f"the caller alone ({CALLER_HERTZ:g} Hz)",
        "right": f"the consultant alone ({CONSULTANT_HERTZ:g} Hz)",
    }
    return [f"{name:>12}  {value}" for name, value in shown.items()]


def _format(at: datetime | None) -> str:
    return f"{at.astimezone(ZONE):%d.%m.%Y %H:%M:%S.%f}"[:-3] if at else ""
