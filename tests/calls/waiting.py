"""What tests of callers who wait share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from callcenter.sipphone.call import SipCall
from callcenter.telephony.calls.outcomes import CallEvent
from tests.calls.call_center import CallCenter

SEVERAL = 20.0  # seconds within which several prompts were played


@contextmanager
def times(call_center: CallCenter, **seconds: float) -> Iterator[None]:
    """Other times of the call within the block."""
    changed = call_center.settings.model_copy(update=seconds)
    for controller in call_center.controllers:
        service = controller.call_service
        service.dependencies = replace(service.dependencies, settings=changed)
    try:
        yield
    finally:
        for controller in call_center.controllers:
            service = controller.call_service
            service.dependencies = replace(service.dependencies, settings=call_center.settings)


async def hears_again(
    call_center: CallCenter,
    call: SipCall,
    language: str,
    prompt: str,
    after: float | None = None,
    limit: float = SEVERAL,
) -> None:
    """Wait until a prompt is heard that begins after now, or after this moment."""
    await call_center.hears(call, language, prompt, limit, after or call.heard.last_packet_at)


async def waits(call_center: CallCenter) -> bool:
    return await call_center.redis.zcard("desk:waiting") == 1


async def rings(call_center: CallCenter, number: str) -> bool:
    appeal = await call_center.live_appeal(number)
    return appeal is not None and CallEvent.RINGING in await call_center.moments(appeal)
