"""The demo: one call to 111, placed and answered by real telephones, and what came of it.

Everything is checked, not assumed: what the caller heard, both channels of the recording, the
appeal and its one outcome.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import soundfile
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.appeals.callers import mask
from callcenter.appeals.store import AppealRow, EventRow
from callcenter.consultants import store as consultants
from callcenter.consultants.accounts import digest_of, new_password
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.demo.sound import Pcm, decode, loudness, resembles
from callcenter.errors import WeFailed
from callcenter.recordings import store as recordings
from callcenter.recordings.store import RecordingRow
from callcenter.recordings.vault import Vault
from callcenter.settings import Settings
from callcenter.softphones import render_asterisk
from callcenter.storage.engine import once
from callcenter.storage.redis import open_redis

CALLER = "+77015550111"
EXTENSION, NAME = "900", "Aigul (demo)"
CALLER_HERTZ, CONSULTANT_HERTZ = 440.0, 1000.0
TALK = 5.0  # seconds
PATIENCE = 20.0  # seconds for any one thing to happen


@dataclass
class Story:
    """What was seen from outside, by wall clock, and what the product keeps of it."""

    seen: dict[str, float] = field(default_factory=dict)
    appeal: AppealRow | None = None
    events: list[EventRow] = field(default_factory=list)
    recording: RecordingRow | None = None

    def see(self, what: str, call: Call, moment: str) -> None:
        """Note a moment of a telephone, which counts by the monotonic clock."""
        self.seen[what] = call.moments[moment] + time.time() - time.monotonic()


async def hire(settings: Settings) -> str:
    """Put the demo's consultant on the roster, known to Asterisk; returns the SIP password."""
    password = new_password()
    digest = digest_of(EXTENSION, password)
    known = {each.extension for each in await once(settings, consultants.everyone)}
    if EXTENSION in known:
        await once(settings, lambda c: consultants.set_digest(c, EXTENSION, digest))
    else:
        await once(
            settings,
            lambda c: consultants.add(
                c, extension=EXTENSION, name=NAME, languages=("kk", "ru"), digest=digest
            ),
        )
    await render_asterisk(settings, reload=True)
    return password


async def play(settings: Settings, password: str, say: Callable[[str], None]) -> Story:
    """The whole story. Raises WeFailed that says what did not happen."""
    story = Story()
    server = (str(settings.sip_address), settings.sip_port)
    operator = str(settings.operator_networks[0][0])
    async with (
        Phone(address="127.0.0.4", server=server, user=EXTENSION, password=password) as desk,
        Phone(address=operator, server=server, user=CALLER) as street,
    ):
        await desk.register()
        await _until(lambda: _is_free(settings), "the consultant's telephone is known as free")
        say(f"consultant {EXTENSION} has registered a softphone")
        call = await street.call("111")
        await call.answered()
        say("the caller has dialled 111 and was answered")
        await _choose_russian_and_a_consultant(settings, call, story, say)
        leg = await desk.next_call(PATIENCE)
        await leg.answer()
        say(f"the consultant's softphone rang and was answered; they talk for {TALK:g} seconds")
        await _talk(call, leg)
        await call.hang_up()
        await leg.ended(PATIENCE)
        say("the caller has hung up")
    _see(story, call, leg)
    await _collect(settings, story)
    _check_recording(settings, story)
    return story


async def _choose_russian_and_a_consultant(
    settings: Settings, call: Call, story: Story, say: Callable[[str], None]
) -> None:
    call.send_silence()
    await _hears(settings, call, "kk/greeting")
    await call.press("2")
    await _hears(settings, call, "ru/emergency_hint")
    say("the caller has heard the greeting, pressed 2, and hears Russian")
    await call.press("1")
    story.seen["caller: pressed 1, for a consultant"] = time.time()


async def _talk(call: Call, leg: Call) -> None:
    call.send_tone(CALLER_HERTZ)
    leg.send_tone(CONSULTANT_HERTZ)
    await asyncio.sleep(TALK)
    for who, party, hertz in (
        ("the caller", call, CONSULTANT_HERTZ),
        ("the consultant", leg, CALLER_HERTZ),
    ):
        if loudness(party.heard.pcm()[-8000:], hertz) < -30:
            raise WeFailed(f"the demo failed: {who} did not hear the other")


def _see(story: Story, call: Call, leg: Call) -> None:
    story.see("caller: INVITE to 111", call, "invite_sent")
    story.see("caller: 200 OK", call, "answered")
    story.see("caller: first sound heard", call, "first_rtp")
    story.see("consultant: INVITE", leg, "invite_received")
    story.see("consultant: 200 OK", leg, "answered_sent")
    story.see("caller: BYE", call, "bye_sent")


async def _collect(settings: Settings, story: Story) -> None:
    """The appeal with its outcome and its recording in the store, within the time set."""

    async def kept() -> bool:
        await once(settings, lambda connection: _read(connection, story))
        return story.recording is not None

    await _until(kept, "the appeal has its outcome and its recording is in the store")
    appeal = story.appeal
    if appeal is None or (appeal.outcome, appeal.language) != ("talked", "ru"):
        raise WeFailed(f"the demo failed: the appeal says {appeal}")


async def _read(connection: AsyncConnection, story: Story) -> None:
    """What the register says of the newest appeal, once it is ours and has its outcome."""
    for row in await appeals.newest(connection, before=None, limit=1):
        if row.outcome is None or row.received_at.timestamp() < story.seen["caller: INVITE to 111"]:
            return
        story.appeal = row
        story.events = await appeals.events(connection, row.id)
        rows = await recordings.of_appeal(connection, row.id)
        story.recording = next((each for each in rows if each.state == "stored"), None)


def _sealed_name(story: Story) -> str:
    """The recording in the sealed store."""
    if story.recording is None or story.recording.store_name is None:
        raise WeFailed("the demo failed: there is no recording in the store")
    return story.recording.store_name


def _check_recording(settings: Settings, story: Story) -> None:
    with Vault(settings).open(_sealed_name(story)) as audio:
        sound, rate = soundfile.read(audio, dtype="int16")
    if sound.ndim != 2 or sound.shape[1] != 2:
        raise WeFailed("the demo failed: the recording has not two channels")
    left, right = (np.ascontiguousarray(sound[rate : 4 * rate, side]) for side in (0, 1))
    for side, pcm, own, other in (
        ("left", left, CALLER_HERTZ, CONSULTANT_HERTZ),
        ("right", right, CONSULTANT_HERTZ, CALLER_HERTZ),
    ):
        if loudness(pcm, own) < -20 or loudness(pcm, other) > -60:
            raise WeFailed(f"the demo failed: the {side} channel does not hold its party alone")
    if abs(len(sound) / rate - TALK) > 0.5:
        raise WeFailed(f"the demo failed: {len(sound) / rate:.2f} s recorded of {TALK:g} s")


async def _is_free(settings: Settings) -> bool:
    async with open_redis(settings) as redis:
        return await redis.zscore("desk:idle", EXTENSION) is not None


async def _hears(settings: Settings, call: Call, prompt: str) -> None:
    path = settings.prompts / f"{prompt}.alaw"
    reference: Pcm = decode(path.read_bytes(), "PCMA")

    async def heard() -> bool:
        return resembles(call.heard.joined(), reference) > 0.8

    await _until(heard, f"the caller hears {prompt}")


async def _until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await true():
        if time.monotonic() > deadline:
            raise WeFailed(f"the demo failed: not within {PATIENCE:g} s: {what}")
        await asyncio.sleep(0.1)


def timeline(story: Story) -> list[str]:
    """The call in milliseconds from the caller's INVITE, seen from outside and from inside."""
    start = story.seen["caller: INVITE to 111"]
    rows = [(at - start, what, "telephone") for what, at in story.seen.items()]
    for event in story.events:
        detail = ", ".join(f"{key} {value}" for key, value in event.detail.items() if value)
        rows.append((event.at.timestamp() - start, f"{event.kind} {detail}".strip(), "appeal"))
    return [f"{at * 1000:>9.1f} ms  {side:<9}  {what}" for at, what, side in sorted(rows)]


def fields(settings: Settings, story: Story) -> list[str]:
    """The appeal and the recording, a line each."""
    appeal, recording = story.appeal, story.recording
    if appeal is None or recording is None:
        raise WeFailed("the demo failed: there is no appeal with a recording")
    length = (recording.duration_ms or 0) / 1000
    shown = {
        "number": appeal.number,
        "channel": appeal.channel,
        "language": appeal.language,
        "caller": mask(appeal.caller_number or ""),
        "consultant": f"{appeal.consultant_name}, {appeal.consultant_extension}",
        "received at": _shown(appeal.received_at),
        "ended at": _shown(appeal.ended_at),
        "outcome": appeal.outcome,
        "recording": settings.recordings / _sealed_name(story),
        "length": f"{length:.3f} s, {recording.bytes} bytes, sha256 {recording.sha256}",
        "left": f"the caller alone ({CALLER_HERTZ:g} Hz)",
        "right": f"the consultant alone ({CONSULTANT_HERTZ:g} Hz)",
    }
    return [f"{name:>12}  {value}" for name, value in shown.items()]


def _shown(at: datetime | None) -> str:
    return f"{at.astimezone(ZoneInfo('Asia/Almaty')):%d.%m.%Y %H:%M:%S.%f}"[:-3] if at else ""
