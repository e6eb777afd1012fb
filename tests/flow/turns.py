"""What every fake of the world shares: the steps it takes, and what is taken."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from callcenter.errors import WeFailed

TURNS = 2  #: turns of the loop that each operation takes


class Turns:
    """`held` names whatever is taken now and not yet given back."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        """The operation of this number, from 0, raises WeFailed."""
        self.held: list[str] = []
        self.operations = 0
        self._fails_at = fails_at

    async def operation(self) -> None:
        number, self.operations = self.operations, self.operations + 1
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if number == self._fails_at:
            raise WeFailed("as the story goes")

    @contextmanager
    def holding(self, what: str) -> Iterator[None]:
        self.held.append(what)
        try:
            yield
        finally:
            self.held.remove(what)
