"""Tasks that are begun and left to themselves."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Errands(set[asyncio.Task[None]]):
    """Those under way. The event loop alone holds no task: it might vanish halfway."""

    def begin(self, errand: Coroutine[Any, Any, None]) -> None:
        """Have it done; returns at once."""
        task = asyncio.create_task(errand)
        self.add(task)
        task.add_done_callback(self.discard)
