"""Queue of the commands of a conversation: from in-call codes, hold button and API."""

import asyncio
from collections import deque
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace

from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.telephony.calls.conversation.events import CommandRequested
from callcenter.telephony.calls.conversation.in_call_codes import InCallCodeReader
from callcenter.telephony.calls.conversation.refer import transfer_command
from callcenter.telephony.calls.ports import Leg, TransferRequest

PENDING_LIMIT = 8  # commands; more are refused


class CommandQueue:
    """Pending commands of one conversation."""

    def __init__(self, can: Collection[str], redirect_keys: str) -> None:
        """`can` are the supported commands; `redirect_keys` are the code for 1414."""
        self._can = can
        self._redirect_keys = redirect_keys
        self._pending: deque[CommandRequested] = deque()
        self._has_pending = asyncio.Event()  # set while a command is pending
        self._interceptors = ExitStack()

    def supports(self, command: CallCommand) -> bool:
        """Whether the command is one of a conversation."""
        return command.what in self._can

    def put(self, command: CallCommand) -> asyncio.Future[Answer]:
        """Queue a command; the future gets its answer, or raises CommandRefused."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if len(self._pending) < PENDING_LIMIT:
            self._pending.append(CommandRequested(command, answer))
            self._has_pending.set()
        else:
            answer.set_exception(CommandRefused("too many commands are pending"))
        return answer

    async def wait(self) -> None:
        """Return when a command is pending; `next` takes it."""
        await self._has_pending.wait()

    def next(self) -> CommandRequested | None:
        """Take the next command, None when there is none."""
        if not self._pending:
            return None
        request = self._pending.popleft()
        if not self._pending:
            self._has_pending.clear()
        return request

    def listen_to(self, leg: Leg) -> None:
        """Read commands from the keys and buttons of this consultant's telephone only."""
        keys = InCallCodeReader(self._redirect_keys)

        def on_key(key: str) -> bool:
            if (command := keys.key(key)) and self.supports(command):
                keyed = replace(command, detail={**command.detail, "how": "key"})
                self.put(keyed).add_done_callback(_ignore_result)
            return True

        def on_hold(is_held: bool) -> None:
            command = CallCommand("hold" if is_held else "resume", "self", {"how": "telephone"})
            self.put(command).add_done_callback(_ignore_result)

        def on_transfer(request: TransferRequest) -> None:
            self.put(transfer_command(request)).add_done_callback(_ignore_result)

        self.stop_listening()
        self._interceptors.enter_context(leg.intercept_dtmf(on_key))
        self._interceptors.enter_context(leg.on_hold_change(on_hold))
        self._interceptors.enter_context(leg.on_transfer(on_transfer))
        if leg.is_held:  # since before it was the consultant's
            on_hold(True)

    def stop_listening(self) -> None:
        """Stop reading commands from keys."""
        self._interceptors.close()


def _ignore_result(answer: asyncio.Future[Answer]) -> None:
    """Retrieve the exception of a keyed command; its refusal is played."""
    if not answer.cancelled():
        answer.exception()
