"""Base of the fakes: operations that take turns of the event loop, and held resources."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from callcenter.platform.core.errors import OperationFailed

TURNS = 2  #: turns of the loop that each operation takes


class Turns:
    """Counts operations; `held` names the resources that are held now."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        """The operation of the number `fails_at`, from 0, raises OperationFailed."""
        self.held: list[str] = []
        self.operations = 0
        self._fails_at = fails_at

    async def operation(self) -> None:
        number, self.operations = self.operations, self.operations + 1
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if number == self._fails_at:
            raise OperationFailed("as the story goes")

    @contextmanager
    def holding(self, what: str) -> Iterator[None]:
        self.held.append(what)
        try:
            yield
        finally:
            self.held.remove(what)
