"""G.711 against libsndfile, and telling what was heard."""

import io
from typing import Literal

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from callcenter.sipphone import audio
from callcenter.sipphone.audio import Codec, Pcm
from tests.seeds import numpy_generator
from tests.sipphone.exchange import melody

CODECS: list[Codec] = ["PCMA", "PCMU"]
SUBTYPES: dict[Codec, Literal["ALAW", "ULAW"]] = {"PCMA": "ALAW", "PCMU": "ULAW"}

samples = arrays(np.int16, st.integers(0, 400))


@pytest.mark.parametrize("codec", CODECS)
def test_every_byte_is_decoded_as_libsndfile_decodes_it(codec: Codec) -> None:
    data = bytes(range(256))
    theirs, _ = soundfile.read(
        io.BytesIO(data),
        dtype="int16",
        samplerate=8000,
        channels=1,
        format="RAW",
        subtype=SUBTYPES[codec],
    )
    assert audio.decode(data, codec).tolist() == theirs.tolist()


@pytest.mark.parametrize("codec", CODECS)
def test_every_sample_is_encoded_by_the_nearest_of_all_codes(codec: Codec) -> None:
    pcm = np.arange(-32768, 32768, dtype=np.int32)
    ours = audio.decode(audio.encode(pcm.astype(np.int16), codec), codec).astype(np.int32)
    values = np.sort(audio.decode(bytes(range(256)), codec).astype(np.int32))
    after = np.clip(np.searchsorted(values, pcm), 1, 255)
    nearest = np.minimum(np.abs(values[after] - pcm), np.abs(values[after - 1] - pcm))
    assert np.array_equal(np.abs(ours - pcm), nearest)


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=400))
def test_what_was_decoded_is_encoded_to_the_same_sound(codec: Codec, data: bytes) -> None:
    pcm = audio.decode(data, codec)
    again = audio.decode(audio.encode(pcm, codec), codec)
    assert again.tolist() == pcm.tolist()


@pytest.mark.parametrize("codec", CODECS)
@given(pcm=samples)
def test_g711_is_wrong_by_a_sixteenth_at_most(codec: Codec, pcm: Pcm) -> None:
    error = np.abs(audio.decode(audio.encode(pcm, codec), codec).astype(int) - pcm)
    assert np.all(error <= np.maximum(np.abs(pcm.astype(int)) / 16, 16))


@given(hertz=st.integers(300, 3400), level=st.floats(-40, -1))
def test_a_tone_has_its_level_at_its_frequency_only(hertz: int, level: float) -> None:
    pcm = audio.tone(hertz, 1.0, level=level)
    assert audio.loudness(pcm, hertz) == pytest.approx(level, abs=0.5)
    assert audio.level(pcm) == pytest.approx(level, abs=0.5)
    assert audio.loudness(pcm, hertz + 100) < level - 30


def test_silence_is_silent_also_when_a_codec_hums() -> None:
    assert audio.is_silent(np.zeros(8000, np.int16))
    assert audio.is_silent(np.full(8000, 8, np.int16))
    assert audio.is_silent(np.zeros(0, np.int16))
    assert audio.loudness(np.zeros(0, np.int16), 440) == audio.SILENCE
    assert audio.level(np.zeros(0, np.int16)) == audio.SILENCE


@given(before=st.integers(0, 8000))
def test_the_first_loud_moment_is_found_within_a_frame(before: int) -> None:
    pcm = np.concatenate([np.zeros(before, np.int16), audio.tone(440, 0.5)])
    starts = audio.first_loud(pcm)
    assert starts is not None
    assert before / 8000 - 0.02 <= starts <= before / 8000 + 0.02


@given(
    before=st.integers(0, 8000),
    gain=st.floats(0.1, 1.0),
    cut=st.floats(1.1, 3.0),
    codec=st.sampled_from(CODECS),
)
def test_a_prompt_is_found_cut_quiet_late_and_coded(
    before: int, gain: float, cut: float, codec: Codec
) -> None:
    quiet = (melody()[: round(cut * 8000)] * gain).astype(np.int16)
    silence = np.zeros(before, np.int16)
    other = audio.tone(950, 0.5)
    heard = audio.decode(audio.encode(np.concatenate([silence, quiet, other]), codec), codec)
    found = audio.find(heard, melody())
    assert found.likeness > 0.98
    assert found.begins_at == pytest.approx(before / 8000, abs=0.001)


def test_a_prompt_that_was_cut_was_not_played_whole() -> None:
    heard = np.concatenate([melody()[:12000], np.zeros(24000, np.int16)])
    assert audio.resembles(heard, melody(), seconds=1) > 0.99
    assert audio.resembles(heard, melody(), seconds=None) < 0.8


@pytest.mark.parametrize("part", [slice(300, None), slice(0, -300)], ids=["first", "last"])
def test_a_prompt_is_whole_despite_a_missing_frame(part: slice) -> None:
    assert audio.resembles(melody()[part], melody(), seconds=None) > 0.98


def test_leading_silence_of_a_reference_does_not_count() -> None:
    reference = np.concatenate([np.zeros(16000, np.int16), melody()])
    found = audio.find(melody(), reference)
    assert found.likeness > 0.99
    assert found.begins_at == pytest.approx(-2.0)


@pytest.mark.parametrize(
    "heard",
    [
        np.zeros(0, np.int16),
        np.zeros(40000, np.int16),
        audio.tone(440, 5),
        melody()[::-1].copy(),
        numpy_generator(1).normal(0, 3000, 40000).astype(np.int16),
    ],
    ids=["nothing", "silence", "tone", "backwards", "noise"],
)
def test_what_is_something_else_does_not_resemble_a_prompt(heard: Pcm) -> None:
    assert audio.resembles(heard, melody()) < 0.5


def test_nothing_resembles_silence() -> None:
    assert audio.resembles(melody(), np.zeros(8000, np.int16)) == 0
