"""Transfers that a consultant's telephone requests by SIP (REFER), as commands.

Where to is decided as for in-call codes: by extension to another consultant, by 1414 to the Unified
Contact Center, by 111 back to the queue, and attended to the third party of the conversation.
"""

from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.calls.ports import TransferRequest

#: The detail of a command that came by REFER: the telephone is told what became of it.
REFER = {"how": "telephone", "refer": "yes"}


def transfer_command(request: TransferRequest) -> CallCommand:
    """Return the command that a transfer means; the conversation refuses what cannot be done."""
    if request.replaced is not None:
        return CallCommand("hand_over", "self", REFER | {"replaced": request.replaced})
    match request.target:
        case "1414":
            return CallCommand("redirect", "self", REFER)
        case "111":
            return CallCommand("queue", "self", REFER)
        case target:
            return CallCommand("transfer", "self", REFER | {"to": target})


def is_refer(command: CallCommand) -> bool:
    """Whether the telephone waits for an answer to this command."""
    return "refer" in command.detail
