"""For how long this process of the tests stood still."""

import asyncio
import time

UNRECORDED = 0.04  # seconds without a packet of which the switch records nothing


class Stalls:
    """The longest time within the block for which this process, controllers and all, stood still.

    The machine of the tests may be busy with others; a silence of that length is not ours.
    """

    longest = 0.0
    total = 0.0  #: of all together
    unrecorded = 0.0  #: of those that are missing in a recording

    async def __aenter__(self) -> "Stalls":
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            stall = time.monotonic() - before - 0.01
            self.longest = max(self.longest, stall)
            self.total += stall
            if stall > UNRECORDED:
                self.unrecorded += stall
