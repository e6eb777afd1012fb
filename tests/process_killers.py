"""A process that dies, as by SIGKILL, right after a step of what it does, or right before it."""

import asyncio
import os
import pkgutil
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from tests import fork_server

STATUS = 77
_BEGIN = "import sys\nfrom tests.process_killers import {name}\n{name}(sys.argv.pop(1))\n"


async def dies_after(step: str, program: str, *arguments: str, env: Mapping[str, str]) -> None:
    """Run a program of Python, which must come to the step, a function by its whole name."""
    await _dies("die_after", step, program, *arguments, env=env)


async def dies_before(step: str, program: str, *arguments: str, env: Mapping[str, str]) -> None:
    """As `dies_after`, when the step is about to be done."""
    await _dies("die_before", step, program, *arguments, env=env)


async def _dies(how: str, step: str, program: str, *arguments: str, env: Mapping[str, str]) -> None:
    command = (sys.executable, "-c", _BEGIN.format(name=how) + program, step, *arguments)
    process = await fork_server.begin(command, env)
    assert await process.wait() == STATUS


def die_after(step: str) -> None:
    """End this process when that function returns for the first time."""
    owner_name, _, name = step.rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    function = getattr(owner, name)

    def fatal(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if asyncio.iscoroutine(result):
            return _die_with(result)
        os._exit(STATUS)

    setattr(owner, name, fatal)


def die_before(step: str) -> None:
    """End this process when that function is called for the first time."""
    owner_name, _, name = step.rpartition(".")
    setattr(pkgutil.resolve_name(owner_name), name, lambda *_, **__: os._exit(STATUS))


async def _die_with(result: Coroutine[Any, Any, Any]) -> None:
    await result
    os._exit(STATUS)
