"""What was received, laid out on the timeline; and keys as RFC 4733 has them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.sipphone import rtp
from callcenter.sipphone.audio import decode, encode, tone
from callcenter.sipphone.rtp import FRAME, ReceivedAudio, event_frames

EVENTS = 101
SOUND = encode(tone(440, 2), "PCMA")
BEGAN = 1000.0


def listener() -> ReceivedAudio:
    heard = ReceivedAudio(lambda at: None)
    heard.events = EVENTS
    return heard


def packet(frame: int, *, timestamp: int = 2**32 - 5 * FRAME, ssrc: int = 1) -> bytes:
    """The frame of SOUND with this number; the timestamps wrap after the fifth."""
    payload = SOUND[frame * FRAME : (frame + 1) * FRAME]
    return rtp.build(8, False, frame, timestamp + frame * FRAME, ssrc, payload)


@given(
    jitter=st.lists(st.floats(-0.04, 0.04), min_size=50, max_size=50),
    order=st.permutations(range(3)),
)
def test_sound_with_jitter_is_laid_out_without_a_seam(
    jitter: list[float], order: list[int]
) -> None:
    heard = listener()
    frames = [0, *(1 + number for number in order), *range(4, 50)]
    for frame in frames:
        moved = jitter[frame] if frame else 0.0
        heard.take(packet(frame), BEGAN + frame * 0.02 + moved)
    assert np.array_equal(heard.pcm(), decode(SOUND[: 50 * FRAME], "PCMA"))


def test_a_pause_stays_in_the_timeline_as_silence() -> None:
    heard = listener()
    for frame in range(10):
        heard.take(packet(frame), BEGAN + frame * 0.02)
    for frame in range(10, 20):
        heard.take(packet(frame), BEGAN + 1 + frame * 0.02)
    pcm = heard.pcm()
    assert len(pcm) == 8000 + 20 * FRAME
    assert not pcm[10 * FRAME : 8000 + 10 * FRAME].any()
    assert pcm[8000 + 10 * FRAME :].any()
    assert heard.longest_gap() == pytest.approx(1.02)
    assert heard.longest_gap(since=BEGAN + 1) == pytest.approx(0.02)


def test_what_was_played_is_whole_whatever_pauses_the_machine_made() -> None:
    heard = listener()
    for frame in range(20):
        heard.take(packet(frame), BEGAN + frame * 0.02 + frame // 7 * 0.5)
    assert np.array_equal(heard.joined(), decode(SOUND[: 20 * FRAME], "PCMA"))
    assert np.array_equal(
        heard.joined(since=BEGAN + 0.5), decode(SOUND[7 * FRAME : 20 * FRAME], "PCMA")
    )
    assert len(listener().joined()) == 0


def test_a_stream_from_another_source_goes_where_it_arrived() -> None:
    heard = listener()
    heard.take(packet(0), BEGAN)
    heard.take(packet(1, ssrc=2), BEGAN + 0.05)
    assert len(heard.pcm()) == 400 + FRAME


@given(since=st.floats(-1, 1))
def test_the_timeline_may_begin_at_any_moment(since: float) -> None:
    heard = listener()
    for frame in range(25):
        heard.take(packet(frame), BEGAN + frame * 0.02)
    pcm = heard.pcm(since=BEGAN + since)
    shift = round((BEGAN + since) * 8000) - round(BEGAN * 8000)
    whole = decode(SOUND[: 25 * FRAME], "PCMA")
    expected = whole[shift:] if shift > 0 else np.concatenate([np.zeros(-shift, np.int16), whole])
    assert np.array_equal(pcm, expected)


def test_who_heard_nothing_has_an_empty_timeline() -> None:
    heard = listener()
    assert len(heard.pcm()) == 0
    assert heard.longest_gap() == 0
    assert heard.last_packet_at is None
    assert heard.keys == ""


def test_rtcp_and_noise_are_no_packets() -> None:
    heard = listener()
    heard.take(bytes([0x80, 200, 0, 6]) + bytes(24), BEGAN)
    heard.take(b"noise", BEGAN)
    heard.take(b"\xff" * 13, BEGAN)
    assert heard.packets == []


@given(keys=st.text(rtp.KEYS, max_size=8), lost=st.sets(st.integers(0, 6), max_size=6))
def test_keys_are_heard_once_whatever_packets_are_lost(keys: str, lost: set[int]) -> None:
    heard = listener()
    for number, key in enumerate(keys):
        for step, payload in enumerate(event_frames(key)):
            if step not in lost:
                data = rtp.build(EVENTS, step == 0, step, number * 8000, 7, payload)
                heard.take(data, BEGAN + number)
    assert heard.keys == keys


def test_a_key_is_100_ms_with_three_equal_ends() -> None:
    frames = event_frames("5")
    assert [frame[0] for frame in frames] == [5] * 7
    assert [int.from_bytes(frame[2:]) for frame in frames] == [160, 320, 480, 640, 800, 800, 800]
    assert [rtp.is_end(frame) for frame in frames] == [False] * 4 + [True] * 3


@pytest.mark.parametrize("key", ["", "12", "x", "５"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match="no key"):
        event_frames(key)
