"""A process that dies, as by SIGKILL, right after a step of what it does."""

import asyncio
import os
import pkgutil
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

STATUS = 77
_BEGIN = "import sys\nfrom tests.killing import die_after\ndie_after(sys.argv.pop(1))\n"


async def dies_after(step: str, program: str, *arguments: str, env: Mapping[str, str]) -> None:
    """Run a program of Python, which must come to the step, a function by its whole name."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _BEGIN + program, step, *arguments), env=env
    )
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


async def _die_with(result: Coroutine[Any, Any, Any]) -> None:
    await result
    os._exit(STATUS)
