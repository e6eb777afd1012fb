"""Words and music for a caller who waits: the place in the queue, and other ways out of it."""

import asyncio
import logging
import time

from callcenter.errors import WeFailed
from callcenter.line.announce import (
    STILL_THERE,
    STILL_WAITING,
    Choice,
    Question,
    nobody_there,
    queue_prompts,
)
from callcenter.line.call import Call
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Standing
from callcenter.line.urgency import words_at_first

log = logging.getLogger(__name__)

AGAIN = 1.0  # seconds before company is tried again that failed
KEYS_APART = 1.0  # seconds between two keys that are heeded
PLACE_KEY = "0"
LOOK = 0.5  # seconds between two looks whether the consultant who is being rung has answered
_INSTEAD_OF_WAITING = (Choice.UNIFIED_CENTER, Choice.CALLBACK, Choice.MESSAGE)


async def kept_company(call: Call) -> Choice:
    """Words and music, never silence; returns what the caller chose instead of waiting.

    A fault of ours never ends the wait: the music begins again a second later. Cancelling stops
    sound and music. Raises LegGone.
    """
    company = _Company(call)
    while True:
        try:
            return await company.keep()
        except WeFailed as exc:
            log.error("call %s waits without words or music: %s", call.leg.id, exc)
            await asyncio.sleep(AGAIN)


async def asked(call: Call, question: Question) -> Choice:
    """What the caller chooses, by a key or by silence. Raises LegGone."""
    while await call.leg.key(0):
        pass  # pressed to the music: no answer to what was not asked yet
    key = await call.say(*question.prompts)
    if key is None:
        async with call.leg.music():
            key = await call.leg.key(call.times.key_timeout)
    return _chosen(call, question, key)


def _chosen(call: Call, question: Question, key: str | None) -> Choice:
    choice = question.choice(key)
    if choice in _INSTEAD_OF_WAITING:
        call.record.moment(Moment.CHOICE, choice=choice.name.lower(), how="key")
    if choice is Choice.STAY and (key in question.keys or (key and call.urgencies)):
        call.waits_on()
    return choice


class _Company:
    """What one waiting caller was told already, and when the next words are due."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._greeted = self._reassured = call.goes_on
        self._told_nobody = self._told_last = False
        self._asked: Question | None = None  # the last question, whose keys are known
        self._other: str | None = None  # the language that it offered
        self._heeds_from = now = time.monotonic()
        self._tell_at = now + call.times.announce_every if call.goes_on else now
        self._ask_at = now + call.times.ask_every

    async def keep(self) -> Choice:
        if not self._greeted:
            standing = await self._standing()
            if standing is None or standing.speakers or self._call.urgencies:
                await self._call.say(words_at_first(self._call), until_key=False)
            elif (choice := await self._ask(standing)) is not Choice.STAY:
                return choice
            self._greeted = True
        await self._give_notice()
        key = None
        while True:
            if self._is_waiting and (choice := await self._words(key)) is not Choice.STAY:
                return choice
            key = await self._music()

    @property
    def _is_waiting(self) -> bool:
        """Nobody is being rung: with an answer that near, words would only be cut."""
        return self._call.if_left is Outcome.LEFT_WAITING

    async def _give_notice(self) -> None:
        call = self._call
        if not call.notice_heard:
            await call.say("recording_notice", until_key=False)
            call.notice_heard = True
            call.record.moment(Moment.NOTICE, whole=True)

    async def _words(self, key: str | None) -> Choice:
        """What is due, or asked for by this key.

        0 tells the place; a key of the question that was heard last is its answer; any other asks
        the question.
        """
        if self._asked is not None and key in self._asked.keys:
            return self._taken(_chosen(self._call, self._asked, key))
        standing = await self._standing()
        now = time.monotonic()
        if key == PLACE_KEY or now >= self._tell_at:
            await self._tell(standing)
        nobody = standing is not None and standing.speakers == 0
        self._told_nobody = self._told_nobody and nobody
        self._told_last = self._told_last and self._call.is_last_round
        is_asked_for = key is not None and key != PLACE_KEY
        is_new = (nobody and not self._told_nobody) or (
            self._call.is_last_round and not self._told_last
        )
        if is_asked_for or now >= self._ask_at or is_new:
            return await self._ask(standing)
        return Choice.STAY

    async def _tell(self, standing: Standing | None) -> None:
        """The place; at first, and when it is not known, only that the caller is not forgotten."""
        told = []
        if standing is not None and standing.position:
            told = queue_prompts(standing.position, standing.expected_wait)
        if standing is None or standing.speakers:
            if not (told and self._reassured):
                told = ["queue_hold", *(prompt for prompt in told if prompt != "queue_hold")]
            self._reassured = True
        if told:
            await self._call.say(*told, until_key=False)
        self._tell_at = time.monotonic() + self._call.times.announce_every

    async def _ask(self, standing: Standing | None) -> Choice:
        call = self._call
        self._told_last = call.is_last_round
        self._asked, self._other = STILL_THERE if self._told_last else STILL_WAITING, None
        if standing is not None and standing.speakers == 0:
            self._other = next(iter(sorted(standing.other_languages)), None)
            is_urgent = bool(call.urgencies)
            self._asked = nobody_there(call.wanted_language, self._other, urgent=is_urgent)
            if not self._told_nobody:
                call.record.moment(Moment.NOBODY_SPEAKS, language=call.wanted_language)
                await call.queue.nobody_signed_in(call.leg.id, call.wanted_language)
            self._told_nobody = True
        choice = await asked(call, self._asked)
        self._ask_at = time.monotonic() + call.times.ask_every
        return self._taken(choice)

    def _taken(self, choice: Choice) -> Choice:
        if choice is Choice.OTHER_LANGUAGE and self._other is not None:
            self._call.other_language = self._other
            self._call.record.moment(Moment.OTHER_LANGUAGE, language=self._other)
        return choice

    async def _music(self) -> str | None:
        """Music until words are due, or a digit is pressed, and nobody is being rung.

        Returns that digit.
        """
        async with self._call.leg.music():
            while True:
                pressed = await self._call.leg.key(max(LOOK, self._until_due()))
                if pressed is not None and self._call.urgencies:  # somebody is there
                    self._call.waits_on()
                key = self._heeded(pressed)
                if self._is_waiting and (key is not None or self._until_due() <= 0):
                    return key

    def _until_due(self) -> float:
        return min(self._tell_at, self._ask_at) - time.monotonic()

    def _heeded(self, key: str | None) -> str | None:
        """One digit a second: somebody may lean on the keys."""
        now = time.monotonic()
        if key is None or not key.isdigit() or now < self._heeds_from:
            return None
        self._heeds_from = now + KEYS_APART
        return key

    async def _standing(self) -> Standing | None:
        """None when the desk cannot be asked: then the caller waits as if nothing were known."""
        try:
            return await self._call.queue.standing(self._call.leg.id, self._call.wanted_language)
        except WeFailed as exc:
            log.error("call %s: %s", self._call.leg.id, exc)
            return None
