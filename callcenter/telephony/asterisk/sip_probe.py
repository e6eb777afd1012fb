"""A look from outside at Asterisk's SIP: is a request answered?"""

import asyncio
from contextlib import suppress
from ipaddress import IPv4Address
from uuid import uuid4

from callcenter.platform.core.settings import Settings

#: Which Asterisk hears whatever networks are named (asterisk/config/access.py).
OURSELVES = "127.0.0.1"
#: Seconds until the request is sent again (RFC 3261, timer E); after the last nobody waits.
REPEAT_AFTER = (0.5, 1.0, 2.0, 4.0)


async def answers_sip(settings: Settings) -> bool:
    """Whether an OPTIONS from this machine gets an answer, of any status, within 7.5 s.

    It takes the way of an INVITE through Asterisk's queues, which ARI and AMI do not, and opens no
    call. Raises OSError when this machine does not have the address of SIP.
    """
    loop = asyncio.get_running_loop()
    to = settings.sip_address if settings.sip_address != IPv4Address(0) else OURSELVES
    transport, answer = await loop.create_datagram_endpoint(
        _Answer, local_addr=(OURSELVES, 0), remote_addr=(str(to), settings.sip_port)
    )
    try:
        request = _options(settings, transport.get_extra_info("sockname")[1])
        for seconds in REPEAT_AFTER:
            transport.sendto(request)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await answer.arrived.wait()
            if answer.arrived.is_set():  # also where we were late ourselves
                return True
        return False
    finally:
        transport.close()


class _Answer(asyncio.DatagramProtocol):
    """The first answer to a request; a port that nobody has gives none."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if data.startswith(b"SIP/2.0 "):
            self.arrived.set()


def _options(settings: Settings, port: int) -> bytes:
    name, here = uuid4().hex, f"{OURSELVES}:{port}"
    lines = (
        f"OPTIONS sip:111@{OURSELVES}:{settings.sip_port} SIP/2.0",
        f"Via: SIP/2.0/UDP {here};rport;branch=z9hG4bK{name}",
        "Max-Forwards: 1",
        f"From: <sip:probe@{here}>;tag={name}",  # as pjsip.conf has it
        f"To: <sip:111@{OURSELVES}>",
        f"Call-ID: {name}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()
