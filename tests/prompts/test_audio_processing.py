import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.calls.prompts.audio_processing import (
    HUSH_LEVEL,
    PEAK,
    RATE,
    SPEECH_LEVEL,
    Samples,
    active_level,
    hush,
    prepare,
    silence,
    to_alaw,
)
from callcenter.telephony.calls.prompts.music import MUSIC_LEVEL, hold_music


def tone(seconds: float, *, rate: int = RATE, loudness: float = 0.1) -> Samples:
    waves: Samples = loudness * np.sin(2 * np.pi * 700 * np.arange(int(seconds * rate)) / rate)
    return waves


def around(sound: Samples, before: float, after: float, rate: int = RATE) -> Samples:
    return np.concatenate([np.zeros(int(before * rate)), sound, np.zeros(int(after * rate))])


def longest_silence(heard: Samples) -> float:
    """Return the seconds of the longest stretch with no 20 ms louder than -60 dBFS."""
    frames = heard[: heard.size // 160 * 160].reshape(-1, 160)
    loud = np.flatnonzero(np.sqrt(2 * np.square(frames).mean(axis=1)) >= 10 ** (-60 / 20))
    return float(np.diff([-1, *loud, len(frames)]).max() - 1) * 0.02


def decoded(alaw: bytes) -> Samples:
    samples, _ = soundfile.read(
        io.BytesIO(alaw), format="RAW", subtype="ALAW", samplerate=RATE, channels=1
    )
    heard: Samples = samples
    return heard


@given(st.floats(0.001, 1), st.sampled_from([8000, 11025, 22050, 44100, 48000]))
def test_every_loudness_becomes_the_same(loudness: float, rate: int) -> None:
    prepared = prepare(tone(0.5, rate=rate, loudness=loudness), rate)
    assert active_level(prepared) == pytest.approx(SPEECH_LEVEL, abs=0.3)
    assert prepared.size / RATE == pytest.approx(0.5, abs=0.2)


def test_a_long_pause_does_not_raise_the_words() -> None:
    once = prepare(tone(1), RATE)
    twice = prepare(np.concatenate([tone(1), silence(5), tone(1)]), RATE)
    assert np.abs(twice).max() == pytest.approx(np.abs(once).max(), rel=0.03)


@given(st.floats(0.001, 1), st.lists(st.floats(0, 2), min_size=1, max_size=3))
def test_long_pauses_are_cut_and_words_stay_whole(loudness: float, pauses: list[float]) -> None:
    word = tone(0.4, loudness=loudness)
    words = [piece for pause in pauses for piece in (word, silence(pause))]
    prepared = prepare(np.concatenate([*words, word]), RATE)
    assert longest_silence(prepared) <= 0.25
    expected = 0.4 * (len(pauses) + 1) + sum(min(pause, 0.22) for pause in pauses)
    assert prepared.size / RATE == pytest.approx(expected + 0.05, abs=0.02 * (len(pauses) + 2))


def test_a_pause_of_ours_is_never_dead() -> None:
    noise = hush(0.35)
    assert noise.size == 0.35 * RATE
    assert longest_silence(decoded(to_alaw(noise))) <= 0.02
    assert active_level(noise) == pytest.approx(HUSH_LEVEL, abs=1)


def test_a_loud_click_does_not_pass_full_scale() -> None:
    voice = tone(1, loudness=0.01)
    voice[4000] = 1.0
    assert np.abs(prepare(voice, RATE)).max() <= PEAK + 1e-9


@given(st.floats(0, 3), st.floats(0, 3))
def test_silence_before_and_after_is_cut_to_a_breath(before: float, after: float) -> None:
    prepared = prepare(around(tone(0.5), before, after), RATE)
    assert prepared.size / RATE > 0.49
    assert prepared.size / RATE <= 0.5 + 0.03 + 0.06 + 0.02


def test_hum_below_the_voice_is_ignored_and_cut_as_silence() -> None:
    hum = 0.05 * np.sin(1 + 2 * np.pi * 50.1 * np.arange(4 * RATE) / RATE)
    prepared = prepare(hum + around(tone(1), 1.5, 1.5), RATE)
    assert prepared.size / RATE == pytest.approx(1.1, abs=0.15)


def test_stereo_is_mixed_into_one() -> None:
    left, nothing = tone(1), np.zeros(RATE)
    mixed = prepare(np.column_stack([left, nothing]), RATE)
    assert mixed.ndim == 1
    assert active_level(mixed) == pytest.approx(SPEECH_LEVEL, abs=0.1)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(5), np.zeros(RATE), np.full(RATE, 0.5)])
def test_where_nothing_is_heard_nothing_is_left(samples: Samples) -> None:
    assert prepare(samples, RATE).size == 0


def test_a_law_is_a_byte_a_sample_and_sounds_alike() -> None:
    sound = prepare(tone(1), RATE)
    alaw = to_alaw(sound)
    assert len(alaw) == sound.size
    assert np.abs(decoded(alaw) - sound).max() < 0.02


def test_the_music_is_calm_a_minute_long_and_quiet() -> None:
    music = hold_music()
    assert music.size >= 60 * RATE
    assert music.size % (RATE // 50) == 0
    assert active_level(music) == pytest.approx(MUSIC_LEVEL, abs=0.1)
    assert MUSIC_LEVEL <= SPEECH_LEVEL - 6
    seconds = np.sqrt(np.square(music.reshape(-1, RATE)).mean(axis=1))
    assert 20 * np.log10(seconds.max() / seconds.min()) < 6


def test_the_music_loops_without_a_click() -> None:
    heard = decoded(to_alaw(hold_music()))
    # A click is a jump that the wave itself never makes: look at the curve across the seam.
    seam = np.concatenate([heard[-RATE:], heard[:RATE]])
    curve = np.abs(np.diff(seam, 2))
    across = curve[RATE - 4 : RATE + 4].max()
    assert across <= np.delete(curve, np.s_[RATE - 4 : RATE + 4]).max()
