"""Second lines: whom a consultant dials in a conversation becomes its third party.

So a softphone's own transfer works: hold, call a colleague, then REFER with Replaces.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from callcenter.platform.core.errors import CallcenterError, OperationFailed
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.acd.command_bus import ActiveCallRef, CommandClient
from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.calls.conversation.feature_codes import extension_of
from callcenter.telephony.calls.ports import LegHungUp
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.controller.telephone_monitor import CHECK_INTERVAL, SILENCE_LIMIT
from callcenter.telephony.outbound.rules import EMERGENCY

POLL_INTERVAL = 0.5  # seconds between questions whether the third party is there
#: Seconds from the death of one line of a telephone until its other line has surely ended too.
OTHER_LINE_LIMIT = SILENCE_LIMIT + 2 * CHECK_INTERVAL

log = logging.getLogger(__name__)


@dataclass
class _Consultation:
    """A second line, and the conversation of the first one."""

    channel: Channel
    call: ActiveCallRef
    is_first_held: bool  #: by the telephone, when the conversation was last looked at


class SecondLine:
    """Second lines of consultants, for one controller; the conversation may be another's."""

    def __init__(self, dependencies: CallDependencies, commands: CommandClient) -> None:
        self._distributor = dependencies.distributor
        self._switch = dependencies.switch
        self._prompts = dependencies.prompts
        self._commands = commands

    async def serve(self, channel: Channel) -> bool:
        """Call whom a consultant dialled as the third party, and connect them.

        Nothing is left in Asterisk. False, and nothing done, for a consultant who is in no call,
        and for emergency services, which are called whatever else fails.
        """
        extension = extension_of(channel.name)
        if extension is None or channel.dialled in EMERGENCY:
            return False
        try:
            call = await self._commands.find_active_call(extension)
        except CallcenterError:
            return False
        try:
            await self._consult(channel, call)
        except LegHungUp:
            return True
        except OperationFailed as exc:
            log.error("third party failed: consultant %s: %s", extension, exc)
        finally:
            await self._switch.channels.hang_up(channel)
        return True

    async def _consult(self, channel: Channel, call: ActiveCallRef) -> None:
        is_consultant = self._distributor.find_consultant(channel.dialled) is not None
        what = "consult" if is_consultant else "call"
        try:
            begun = await self._ask(call, what, to=channel.dialled)
        except CallcenterError as exc:
            log.warning("third party refused: consultant %s: %s", call.consultant, exc)
            await self._play(channel, "duty_refused")
            return
        line = _Consultation(channel, call, is_first_held=_is_held(begun))
        try:
            await channel.answer()
            async with channel.ringing():
                state_now = await self._wait_while("called", line)
            if state_now != "here":
                await self._play(channel, "called_unreachable")
                return
            async with self._switch.join_conversation(channel, call.consultant):
                await self._wait_while("here", line)
        finally:
            if channel.is_gone:
                await self._end_consultation(line)

    async def _end_consultation(self, line: _Consultation) -> None:
        """Give the caller back to the consultant, who hung up on the third party.

        A telephone that died takes its first line with it, some seconds later: the caller goes on
        with the third party then, which is left where it is until that is clear. Also when this is
        cancelled: the conversation refuses if it is another consultant's by then.
        """
        try:
            if line.channel.connection_lost:
                await self._wait_for_first_line(line)
        finally:
            with suppress(CallcenterError):
                await asyncio.shield(self._ask(line.call, "back"))

    async def _wait_for_first_line(self, line: _Consultation) -> None:
        """Return once the first line has ended too, or it is clear that it lives.

        It does when it lives for longer than the second, or when the telephone that held it as the
        second ended has resumed it since.
        """
        ends_at = time.monotonic() + OTHER_LINE_LIMIT
        while time.monotonic() <= ends_at:
            state = await self._state(line.call)
            if state["guest"] == "none" or (line.is_first_held and not _is_held(state)):
                return
            await asyncio.sleep(POLL_INTERVAL)

    async def _wait_while(self, state: str, line: _Consultation) -> str:
        """Wait while the third party is in a state; returns the next one.

        Raises LegHungUp when the second line hung up.
        """
        while (current := await self._state(line.call))["guest"] == state:
            line.is_first_held = _is_held(current)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL):
                    await line.channel.wait_hangup()
                    raise LegHungUp(f"channel {line.channel.id} hung up")
        return current["guest"]

    async def _state(self, call: ActiveCallRef) -> dict[str, str]:
        """Return the state of the conversation (`Conversation.state`)."""
        try:
            return await self._ask(call, "status")
        except CallcenterError:  # the conversation is over, or another consultant's
            return {"guest": "none"}

    async def _ask(self, call: ActiveCallRef, what: str, **detail: str) -> dict[str, str]:
        command = CallCommand(what, "self", {"how": "telephone", **detail})
        return dict(await self._commands.send_to_call(call, command))

    async def _play(self, channel: Channel, prompt: str) -> None:
        await channel.answer()
        sounds = [self._prompts.sound(each, prompt) for each in CALLER_LANGUAGES]
        await channel.play(sounds, until_key=False)


def _is_held(state: Mapping[str, str]) -> bool:
    """Whether the telephone holds the first line, in this state of the conversation."""
    return state.get("telephone") == "holds"
