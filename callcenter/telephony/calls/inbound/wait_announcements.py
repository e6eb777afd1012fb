"""Queue announcements, music on hold and the alternatives offered to a waiting caller."""

import asyncio
import logging
import time

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.inbound.queue_announcements import (
    STILL_THERE,
    STILL_WAITING,
    QueueChoice,
    QueuePrompt,
    language_unavailable_prompt,
    queue_prompts,
)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import QueuePosition
from callcenter.telephony.calls.urgency import opening_prompt

log = logging.getLogger(__name__)

RETRY_DELAY = 1.0  # seconds before announcements that failed are retried
KEY_INTERVAL = 1.0  # seconds between two keys that are accepted
PLACE_KEY = "0"
POLL_INTERVAL = 0.5  # seconds between two checks whether a consultant is still being rung
_INSTEAD_OF_WAITING = (QueueChoice.UNIFIED_CENTER, QueueChoice.CALLBACK, QueueChoice.MESSAGE)


async def announce_while_waiting(call: Call) -> QueueChoice:
    """Play announcements and music, never silence; returns the caller's choice.

    A fault never ends the wait: music restarts a second later. Cancelling stops sound and music.
    Raises LegHungUp.
    """
    announcer = _WaitAnnouncer(call)
    while True:
        try:
            return await announcer.run()
        except OperationFailed as exc:
            log.error("wait announcements failed: call %s: %s", call.leg.id, exc)
            await asyncio.sleep(RETRY_DELAY)


async def ask_choice(call: Call, prompt: QueuePrompt) -> QueueChoice:
    """Play a question and return the choice, by key or by silence. Raises LegHungUp."""
    while await call.leg.key(0):
        pass  # pressed before the question: no answer to it
    key = await call.say(*prompt.prompts)
    if key is None:
        async with call.leg.music():
            key = await call.leg.key(call.times.key_timeout)
    return _record_choice(call, prompt, key)


def _record_choice(call: Call, prompt: QueuePrompt, key: str | None) -> QueueChoice:
    choice = prompt.choice(key)
    if choice in _INSTEAD_OF_WAITING:
        call.record.add_event(CallEvent.CHOICE, choice=choice.name.lower(), how="key")
    if choice is QueueChoice.STAY and (key in prompt.keys or (key and call.urgencies)):
        call.restart_patience()
    return choice


class _WaitAnnouncer:
    """Announcements of one waiting caller: what was played, and what is due when."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._is_greeted = self._is_reassured = call.is_resumed
        self._announced_unavailable = self._announced_last_round = False
        self._prompt: QueuePrompt | None = None  # the last question
        self._offered_language: str | None = None  # the other language in it
        self._keys_ignored_until = now = time.monotonic()
        self._announce_at = now + call.times.announce_every if call.is_resumed else now
        self._prompt_at = now + call.times.ask_every

    async def run(self) -> QueueChoice:
        if not self._is_greeted:
            queue_position = await self._read_queue_position()
            if queue_position is None or queue_position.speakers or self._call.urgencies:
                await self._call.say(opening_prompt(self._call), until_key=False)
            elif (choice := await self._prompt_caller(queue_position)) is not QueueChoice.STAY:
                return choice
            self._is_greeted = True
        await self._play_recording_notice()
        key = None
        while True:
            if (
                self._is_waiting
                and (choice := await self._announce_due(key)) is not QueueChoice.STAY
            ):
                return choice
            key = await self._play_music()

    @property
    def _is_waiting(self) -> bool:
        """Whether no consultant is being rung: an answer would interrupt announcements."""
        return self._call.if_left is Outcome.LEFT_WAITING

    async def _play_recording_notice(self) -> None:
        call = self._call
        if not call.recording_notice_played:
            await call.say("recording_notice", until_key=False)
            call.recording_notice_played = True
            call.record.add_event(CallEvent.NOTICE, whole=True)

    async def _announce_due(self, key: str | None) -> QueueChoice:
        """Play what is due, or requested by this key.

        0 announces the position; a key of the last question is its answer; any other repeats the
        question.
        """
        if self._prompt is not None and key in self._prompt.keys:
            return self._apply_choice(_record_choice(self._call, self._prompt, key))
        queue_position = await self._read_queue_position()
        now = time.monotonic()
        if key == PLACE_KEY or now >= self._announce_at:
            await self._announce_position(queue_position)
        is_unavailable = queue_position is not None and queue_position.speakers == 0
        self._announced_unavailable = self._announced_unavailable and is_unavailable
        self._announced_last_round = self._announced_last_round and self._call.is_last_round
        is_requested = key is not None and key != PLACE_KEY
        is_new = (is_unavailable and not self._announced_unavailable) or (
            self._call.is_last_round and not self._announced_last_round
        )
        if is_requested or now >= self._prompt_at or is_new:
            return await self._prompt_caller(queue_position)
        return QueueChoice.STAY

    async def _announce_position(self, queue_position: QueuePosition | None) -> None:
        """Announce the position; the first time, or without one, a reassurance before it."""
        prompts = []
        if queue_position is not None and queue_position.position:
            prompts = queue_prompts(queue_position.position, queue_position.expected_wait)
        if queue_position is None or queue_position.speakers:
            if not (prompts and self._is_reassured):
                prompts = ["queue_hold", *(prompt for prompt in prompts if prompt != "queue_hold")]
            self._is_reassured = True
        if prompts:
            await self._call.say(*prompts, until_key=False)
        self._announce_at = time.monotonic() + self._call.times.announce_every

    async def _prompt_caller(self, queue_position: QueuePosition | None) -> QueueChoice:
        call = self._call
        self._announced_last_round = call.is_last_round
        self._prompt = STILL_THERE if self._announced_last_round else STILL_WAITING
        self._offered_language = None
        if queue_position is not None and queue_position.speakers == 0:
            self._offered_language = next(iter(sorted(queue_position.other_languages)), None)
            is_urgent = bool(call.urgencies)
            self._prompt = language_unavailable_prompt(
                call.consultant_language, self._offered_language, urgent=is_urgent
            )
            if not self._announced_unavailable:
                call.record.add_event(CallEvent.NOBODY_SPEAKS, language=call.consultant_language)
                await call.queue.alert_nobody_signed_in(call.leg.id, call.consultant_language)
            self._announced_unavailable = True
        choice = await ask_choice(call, self._prompt)
        self._prompt_at = time.monotonic() + call.times.ask_every
        return self._apply_choice(choice)

    def _apply_choice(self, choice: QueueChoice) -> QueueChoice:
        if choice is QueueChoice.OTHER_LANGUAGE and self._offered_language is not None:
            self._call.other_language = self._offered_language
            self._call.record.add_event(CallEvent.OTHER_LANGUAGE, language=self._offered_language)
        return choice

    async def _play_music(self) -> str | None:
        """Play music until an announcement is due or a digit is pressed, and no telephone rings.

        Returns that digit.
        """
        async with self._call.leg.music():
            while True:
                pressed = await self._call.leg.key(max(POLL_INTERVAL, self._until_due()))
                if pressed is not None and self._call.urgencies:  # a sign of life
                    self._call.restart_patience()
                key = self._accept_digit(pressed)
                if self._is_waiting and (key is not None or self._until_due() <= 0):
                    return key

    def _until_due(self) -> float:
        return min(self._announce_at, self._prompt_at) - time.monotonic()

    def _accept_digit(self, key: str | None) -> str | None:
        """Return the key if it is a digit, at most one a second."""
        now = time.monotonic()
        if key is None or not key.isdigit() or now < self._keys_ignored_until:
            return None
        self._keys_ignored_until = now + KEY_INTERVAL
        return key

    async def _read_queue_position(self) -> QueuePosition | None:
        """Return the queue position, None when it cannot be read: the caller waits without it."""
        try:
            return await self._call.queue.position_of(
                self._call.leg.id, self._call.consultant_language
            )
        except OperationFailed as exc:
            log.error("queue position unavailable: call %s: %s", self._call.leg.id, exc)
            return None
