"""Events of a conversation: commands, hangups, answers; and its state on resume."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.telephony.calls.conversation.participants import ConsultantParty, ThirdParty
from callcenter.telephony.calls.ports import Bridge


@dataclass(frozen=True, eq=False)
class CommandRequested:
    """A pending command."""

    command: CallCommand
    answer: asyncio.Future[Answer]

    def refuse(self, why: str) -> None:
        """Refuse the command, unless it was answered already."""
        if not self.answer.done():
            self.answer.set_exception(CommandRefused(why))

    def done(self, state: Answer) -> None:
        """Answer the command with the state of the conversation."""
        if not self.answer.done():
            self.answer.set_result(state)


@dataclass(frozen=True, eq=False)
class PartyLeft:
    """A party hung up or was lost."""

    who: ThirdParty


@dataclass(frozen=True, eq=False)
class PartyAnswered:
    """The called third party has answered."""

    third_party: ThirdParty


@dataclass(frozen=True, eq=False)
class PartyUnanswered:
    """The called third party did not answer, for this reason."""

    why: str


@dataclass(frozen=True, eq=False)
class OngoingConversation:
    """A conversation of a dead controller; `recording` is the running one."""

    bridge: AbstractAsyncContextManager[Bridge]
    consultant: ConsultantParty | None
    third_party: ThirdParty | None
    is_on_hold: bool
    is_muted: bool
    recording: UUID | None
    is_recording_confirmed: bool  #: whether `recording` runs
    is_unrecorded: bool  #: its controller ended before it could record that it began
