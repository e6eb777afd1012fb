"""Dependencies of routes that order something of a call, API and pages alike."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from callcenter.telephony.acd.command_bus import CommandClient


def commands_of(request: Request) -> CommandClient:
    """The client of call commands of the site that this request came to."""
    commands: CommandClient = request.app.state.commands
    return commands


CurrentCommands = Annotated[CommandClient, Depends(commands_of)]
