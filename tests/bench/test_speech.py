"""The generator's sound is RTP that any receiver takes, in an unbroken stream, keys included."""

import asyncio
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest

from callcenter.sipphone.rtp import FRAME, Packet, is_end, parse
from tests.bench.speech import PCMA, Speech

EVENTS = 101


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        yield receiver


async def heard(receiver: socket.socket, count: int) -> list[Packet]:
    """The next packets that come; fails when they do not come in 30 s."""
    loop = asyncio.get_running_loop()
    packets: list[Packet] = []
    async with asyncio.timeout(30):
        while len(packets) < count:
            packet = parse(await loop.sock_recv(receiver, 2048), loop.time())
            assert packet is not None
            packets.append(packet)
    return packets


@pytest.mark.parametrize("frames", [1, 3])
async def test_a_stream_is_numbered_without_a_gap(receiver: socket.socket, frames: int) -> None:
    speech = Speech("127.0.0.1", frames)
    stream = speech.start(receiver.getsockname())
    packets = await heard(receiver, 10)
    stream.stop()
    speech.close()
    assert {packet.payload_type for packet in packets} == {PCMA}
    assert {len(packet.payload) for packet in packets} == {FRAME * frames}
    assert {packet.ssrc for packet in packets} == {packets[0].ssrc}
    for before, after in pairwise(packets):
        assert after.sequence == (before.sequence + 1) % 2**16
        assert after.timestamp == (before.timestamp + FRAME * frames) % 2**32


async def test_streams_keep_their_places_after_others_leave(
    receiver: socket.socket,
) -> None:
    speech = Speech("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        leaving = [speech.start(elsewhere.getsockname()) for _ in range(12)]
        staying = [speech.start(receiver.getsockname()) for _ in range(7)]
        await heard(receiver, 14)
        for stream in leaving:
            stream.stop()
            stream.stop()
        while True:
            try:
                receiver.recv(2048)
            except BlockingIOError:
                break
        packets = await heard(receiver, 140)
    by_source: dict[int, list[int]] = {}
    for packet in packets:
        by_source.setdefault(packet.ssrc, []).append(packet.sequence)
    assert len(by_source) == len(staying)
    for numbers in by_source.values():
        assert numbers == [(numbers[0] + step) % 2**16 for step in range(len(numbers))]
    speech.close()


async def test_a_key_takes_the_place_of_sound_in_its_stream(receiver: socket.socket) -> None:
    speech = Speech("127.0.0.1")
    stream = speech.start(receiver.getsockname())
    await heard(receiver, 3)
    released = await speech.press(stream, "5", EVENTS)
    packets = await heard(receiver, 10)
    speech.close()
    keys = [packet for packet in packets if packet.payload_type == EVENTS]
    assert [is_end(packet.payload) for packet in keys] == [False] * 4 + [True] * 3
    assert {packet.payload[0] for packet in keys} == {5}
    assert len({packet.timestamp for packet in keys}) == 1
    assert [packet.marker for packet in keys] == [True] + [False] * 6
    for before, after in pairwise(packets):
        assert after.sequence == (before.sequence + 1) % 2**16
    after_key = packets[packets.index(keys[-1]) + 1]
    assert after_key.timestamp == (keys[0].timestamp + 7 * FRAME) % 2**32
    assert released <= asyncio.get_running_loop().time()
