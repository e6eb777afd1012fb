"""Background asyncio tasks of one owner."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks(set[asyncio.Task[None]]):
    """Running tasks, referenced here because the event loop alone may drop them."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a task; returns at once."""
        task = asyncio.create_task(coroutine)
        self.add(task)
        task.add_done_callback(self.discard)

    async def end_all(self) -> None:
        """Cancel all that run now; returns when they have ended, however they do."""
        tasks = list(self)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
