import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from callcenter.recordings.formats import Format, format_of
from callcenter.recordings.sealing import audio, keys

pytestmark = pytest.mark.slow

SECOND = audio.RATE * audio.FRAME_BYTES
MEASURE_MEMORY = """
import resource, sys
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from tempfile import TemporaryFile
from callcenter.recordings.sealing import audio
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.platform.core.settings import Settings
folder = Path(sys.argv[2])
with TemporaryFile(dir=folder) as file:
    audio.encode(Path(sys.argv[1]), file)
    settings = Settings(_env_file=None, var=folder / "var", recordings=folder / "recordings")
    vault = SealedStore(settings)
    vault.seal(file, "kept.flac.age")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def encode(raw: Path) -> tuple[int, BytesIO]:
    """The length in ms, and the FLAC."""
    target = BytesIO()
    return audio.encode(raw, target).duration_ms, target


@given(arrays(np.int16, st.tuples(st.integers(1, 400), st.just(2))))
def test_what_is_stored_is_what_was_recorded(
    tmp_path_factory: pytest.TempPathFactory, audio: np.ndarray
) -> None:
    folder = tmp_path_factory.mktemp("audio")
    raw = folder / "raw"
    raw.write_bytes(audio.astype("<i2").tobytes())
    duration_ms, target = encode(raw)
    target.seek(0)
    read, rate = soundfile.read(target, dtype="int16", always_2d=True)
    assert rate == 8000
    assert np.array_equal(read, audio)
    assert duration_ms == len(audio) * 1000 // 8000


def test_the_caller_is_left_and_the_consultant_right(tmp_path: Path) -> None:
    caller, consultant = np.arange(8000, dtype="<i2"), -np.arange(8000, dtype="<i2")
    (tmp_path / "raw").write_bytes(np.column_stack([caller, consultant]).tobytes())
    duration_ms, target = encode(tmp_path / "raw")
    assert duration_ms == 1000
    target.seek(0)
    read, _ = soundfile.read(target, dtype="int16")
    assert np.array_equal(read[:, 0], caller)
    assert np.array_equal(read[:, 1], consultant)


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "missing"), (b"", "empty"), (b"\0" * 3, "empty")],
)
def test_a_file_that_is_no_recording_is_named_and_left(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    raw = tmp_path / "raw"
    if content is not None:
        raw.write_bytes(content)
    with pytest.raises(audio.UnusableAudio, match=fault):
        encode(raw)
    assert raw.exists() == (content is not None)


@pytest.mark.parametrize("written", Format)
@pytest.mark.parametrize("partial", [1, 2, 3])
def test_a_partial_frame_at_the_end_is_left_out(
    tmp_path: Path, partial: int, written: Format
) -> None:
    whole = speech(9).tobytes()  # the partial frame is alone in the last block
    (tmp_path / "raw").write_bytes(whole + b"\1" * partial)
    target = BytesIO()
    assert audio.encode(tmp_path / "raw", target, written) == (9000, partial)
    target.seek(0)
    read, _ = soundfile.read(target, dtype="int16")
    assert len(read) == 9 * audio.RATE
    assert written is Format.OPUS or read.astype("<i2").tobytes() == whole


@pytest.mark.parametrize("written", Format)
def test_a_comment_goes_into_the_file_and_comes_out(tmp_path: Path, written: Format) -> None:
    (tmp_path / "raw").write_bytes(speech(1).tobytes())
    target, comment = BytesIO(), '{"of": "Айгүл", "and": "' + "x" * 2000 + '"}'
    audio.encode(tmp_path / "raw", target, written, comment)
    target.seek(0)
    assert audio.probe(target) == (1000, comment)


def test_a_file_cut_short_does_not_pass_for_a_recording(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(speech(1).tobytes())
    _, target = encode(tmp_path / "raw")
    with pytest.raises(audio.VerificationFailed):
        audio.probe(BytesIO(target.getvalue()[:-100]))
    with pytest.raises(audio.VerificationFailed):
        audio.probe(BytesIO(b"no sound"))


def test_an_encoder_that_cheats_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, other = tmp_path / "raw", tmp_path / "other"
    raw.write_bytes(b"\1" * SECOND)
    other.write_bytes(b"\1" * (SECOND - 4))
    write = audio.write_encoded

    def write_less(source: BinaryIO, target: BinaryIO, written: Format, comment: str) -> None:
        with other.open("rb") as less:
            write(less, target, written, comment)

    monkeypatch.setattr(audio, "write_encoded", write_less)
    with pytest.raises(audio.VerificationFailed, match="does not read back"):
        encode(raw)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    noise = os.urandom(SECOND)
    keys.make(tmp_path / "var" / "keys")
    (tmp_path / "var" / "spool").mkdir()

    def memory_of(seconds: int) -> int:
        raw = tmp_path / f"{seconds}"
        with raw.open("wb") as file:
            for _ in range(seconds):
                file.write(noise)  # which no encoder makes smaller
        done = subprocess.run(
            [sys.executable, "-c", MEASURE_MEMORY, raw, tmp_path],
            check=True,
            stdout=subprocess.PIPE,
        )
        return int(done.stdout)

    minutes, hour = memory_of(120), memory_of(3600)
    assert hour - minutes < 5_000  # KiB; the raw hour is 112 500


def speech(seconds: int) -> np.ndarray:
    """Something like two voices that take turns: tones that go up and down."""
    at = np.arange(seconds * audio.RATE) / audio.RATE
    caller = 8000 * np.sin(2 * np.pi * (300 + 150 * np.sin(at)) * at) * (at < seconds / 2)
    consultant = 6000 * np.sin(2 * np.pi * (500 + 90 * np.sin(2 * at)) * at) * (at >= seconds / 2)
    return np.column_stack([caller, consultant]).astype("<i2")


def test_opus_keeps_length_and_channels_apart(tmp_path: Path) -> None:
    raw, target, spoken = tmp_path / "raw", BytesIO(), speech(10)
    raw.write_bytes(spoken.tobytes())
    assert audio.encode(raw, target, Format.OPUS).duration_ms == 10_000
    target.seek(0)
    about = soundfile.info(target)
    assert (about.format, about.subtype, about.frames) == ("OGG", "OPUS", len(spoken))
    target.seek(0)
    read, _ = soundfile.read(target, dtype="int16")
    first, second = read[: 4 * audio.RATE], read[6 * audio.RATE :]
    assert np.abs(first[:, 0]).max() > 5000 > 50 > np.abs(first[:, 1]).max()
    assert np.abs(second[:, 1]).max() > 4000 > 50 > np.abs(second[:, 0]).max()


def test_opus_that_lost_a_channel_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, other = tmp_path / "raw", tmp_path / "other"
    raw.write_bytes(speech(4).tobytes())
    other.write_bytes((speech(4) * [1, 0]).astype("<i2").tobytes())
    write = audio.write_encoded

    def write_one(source: BinaryIO, target: BinaryIO, written: Format, comment: str) -> None:
        with other.open("rb") as less:
            write(less, target, written, comment)

    monkeypatch.setattr(audio, "write_encoded", write_one)
    with pytest.raises(audio.VerificationFailed):
        audio.encode(raw, BytesIO(), Format.OPUS)


def test_what_is_in_an_object_follows_from_its_name() -> None:
    assert format_of("2026/02/28/some.flac.age") is Format.FLAC
    assert format_of("2026/02/28/some.opus.age") is Format.OPUS
    assert format_of(None) is Format.FLAC
