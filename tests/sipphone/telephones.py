"""The telephones of the tests, and what they hear."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callcenter.sipphone import audio
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from tests.polling import until
from tests.sipphone.exchange import PASSWORD, Exchange


@asynccontextmanager
async def consultants_phone(
    switch: Exchange, password: str | None = PASSWORD, *, rings: bool = True
) -> AsyncIterator[Phone]:
    async with Phone(
        address="127.0.0.4", server=switch.server, user="201", password=password, rings=rings
    ) as phone:
        yield phone


async def hears(call: SipCall, hertz: float) -> None:
    """Returns when half a second of this tone, and hardly anything else, was heard."""

    def heard() -> bool:
        pcm = call.heard.pcm()[-4000:]
        return len(pcm) == 4000 and audio.loudness(pcm, hertz) > audio.level(pcm) - 1 > -30

    await until(heard, f"{hertz} Hz are heard")
