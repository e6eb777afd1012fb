"""What tests of callers who wait share."""

from collections.abc import Iterator
from contextlib import contextmanager

from callcenter.demo.call import Call
from callcenter.line.outcomes import Moment
from tests.calls.house import House

SEVERAL = 20.0  # seconds within which several prompts were played


@contextmanager
def times(house: House, **seconds: float) -> Iterator[None]:
    """Other times of the call within the block."""
    changed = house.settings.model_copy(update=seconds)
    for controller in house.controllers:
        controller.serving.settings = changed
    try:
        yield
    finally:
        for controller in house.controllers:
            controller.serving.settings = house.settings


async def hears_again(
    house: House,
    call: Call,
    language: str,
    prompt: str,
    after: float | None = None,
    limit: float = SEVERAL,
) -> None:
    """Wait until a prompt is heard that begins after now, or after this moment."""
    await house.hears(call, language, prompt, limit, after or call.heard.last_packet_at)


async def waits(house: House) -> bool:
    return await house.redis.zcard("desk:waiting") == 1


async def rings(house: House, number: str) -> bool:
    appeal = await house.live_appeal(number)
    return appeal is not None and Moment.RINGING in await house.moments(appeal)
