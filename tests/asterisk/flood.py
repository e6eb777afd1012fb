"""A flood of REGISTER from a stranger: `python -m tests.asterisk.flood HOST PORT RATE SECONDS`.

A process of its own, so that it delays no telephone of the test. Nothing is read, and no two
requests are of one transaction; prints how many were sent and the rate that was reached.
"""

import secrets
import socket
import sys
import time
from itertools import count

from tests.asterisk.switch import STRANGER

TICK = 0.01  # seconds
USER = "1001"


def flood(server: tuple[str, int], rate: int, seconds: float) -> tuple[int, float]:
    """Send so many a second, or as many as this machine can; returns how many, and how fast."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((STRANGER, 0))
        sock.connect(server)
        before, between, after = _request(*server, sock.getsockname()[1])
        numbers, sent, began = count(), 0, time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            for _ in range(int(rate * (elapsed + TICK)) - sent):
                number = b"%d" % next(numbers)
                sock.send(b"".join((before, number, between, number, after)))
                sent += 1
            time.sleep(TICK)
        return sent, sent / (time.monotonic() - began)


def _request(host: str, port: int, own: int) -> tuple[bytes, bytes, bytes]:
    """A REGISTER around two numbers: that of its branch, and that of its call."""
    mark, uri = secrets.token_hex(4), f"sip:{USER}@{host}:{port}"
    text = (
        f"REGISTER sip:{host}:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {STRANGER}:{own};branch=z9hG4bK{mark}\0;rport\r\n"
        f"From: <{uri}>;tag={mark}\r\n"
        f"To: <{uri}>\r\n"
        f"Call-ID: {mark}\0\r\n"
        "CSeq: 1 REGISTER\r\n"
        f"Contact: <sip:{USER}@{STRANGER}:{own}>\r\n"
        "Max-Forwards: 70\r\nExpires: 120\r\nContent-Length: 0\r\n\r\n"
    )
    before, between, after = text.encode().split(b"\0")
    return before, between, after


if __name__ == "__main__":
    host, port, each_second, for_seconds = sys.argv[1:]
    total, reached = flood((host, int(port)), int(each_second), float(for_seconds))
    sys.stdout.write(f"{total} REGISTER, {reached:.0f} a second\n")
