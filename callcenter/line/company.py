"""Words and music for a caller who waits: the place in the queue, and other ways out of it."""

import asyncio
import logging
import time

from callcenter.errors import WeFailed
from callcenter.line.announce import (
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
    """What the caller chooses; silence keeps waiting. Raises LegGone."""
    while await call.leg.key(0):
        pass  # pressed to the music: no answer to what was not asked yet
    key = await call.say(*question.prompts)
    if key is None:
        async with call.leg.music():
            key = await call.leg.key(call.times.key_timeout)
    choice = question.choice(key)
    if choice in _INSTEAD_OF_WAITING:
        call.record.moment(Moment.CHOICE, choice=choice.name.lower(), how="key")
    return choice


class _Company:
    """What one waiting caller was told already, and when the next words are due."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._greeted = self._reassured = call.goes_on
        self._told_nobody = False
        now = time.monotonic()
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
        while True:
            if self._is_waiting and (choice := await self._words()) is not Choice.STAY:
                return choice
            await self._music()

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

    async def _words(self) -> Choice:
        standing = await self._standing()
        now = time.monotonic()
        if now >= self._tell_at:
            await self._tell(standing)
        nobody = standing is not None and standing.speakers == 0
        self._told_nobody = self._told_nobody and nobody
        if now >= self._ask_at or (nobody and not self._told_nobody):
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
        question, other = STILL_WAITING, None
        if standing is not None and standing.speakers == 0:
            other = next(iter(sorted(standing.other_languages)), None)
            question = nobody_there(call.wanted_language, other)
            if not self._told_nobody:
                call.record.moment(Moment.NOBODY_SPEAKS, language=call.wanted_language)
                await call.queue.nobody_signed_in(call.leg.id, call.wanted_language)
            self._told_nobody = True
        choice = await asked(call, question)
        self._ask_at = time.monotonic() + call.times.ask_every
        if choice is Choice.OTHER_LANGUAGE and other is not None:
            call.other_language = other
            call.record.moment(Moment.OTHER_LANGUAGE, language=other)
        return choice

    async def _music(self) -> None:
        """Music until words are due and nobody is being rung."""
        async with self._call.leg.music():
            while True:
                until_due = min(self._tell_at, self._ask_at) - time.monotonic()
                await asyncio.sleep(max(LOOK, until_due))
                if self._is_waiting:
                    return

    async def _standing(self) -> Standing | None:
        """None when the desk cannot be asked: then the caller waits as if nothing were known."""
        try:
            return await self._call.queue.standing(self._call.leg.id, self._call.wanted_language)
        except WeFailed as exc:
            log.error("call %s: %s", self._call.leg.id, exc)
            return None
