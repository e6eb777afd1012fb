import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from callcenter.recordings import flac

SECOND = flac.RATE * flac.FRAME_BYTES
MEASURE_MEMORY = """
import resource, sys
from pathlib import Path
from callcenter.recordings import flac
flac.keep(Path(sys.argv[1]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@given(arrays(np.int16, st.tuples(st.integers(1, 400), st.just(2))))
def test_what_is_kept_is_what_was_recorded(
    tmp_path_factory: pytest.TempPathFactory, audio: np.ndarray
) -> None:
    folder = tmp_path_factory.mktemp("audio")
    raw, target = folder / "raw", folder / "kept.flac"
    raw.write_bytes(audio.astype("<i2").tobytes())
    kept = flac.keep(raw, target)
    read, rate = soundfile.read(target, dtype="int16", always_2d=True)
    assert rate == 8000
    assert np.array_equal(read, audio)
    assert kept == flac.Kept(
        flac.sha256_of(target), target.stat().st_size, len(audio) * 1000 // 8000
    )


def test_the_caller_is_left_and_the_consultant_right(tmp_path: Path) -> None:
    caller, consultant = np.arange(8000, dtype="<i2"), -np.arange(8000, dtype="<i2")
    (tmp_path / "raw").write_bytes(np.column_stack([caller, consultant]).tobytes())
    assert flac.keep(tmp_path / "raw", tmp_path / "kept.flac").duration_ms == 1000
    read, _ = soundfile.read(tmp_path / "kept.flac", dtype="int16")
    assert np.array_equal(read[:, 0], caller)
    assert np.array_equal(read[:, 1], consultant)


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "missing"), (b"", "empty"), (b"\0" * (SECOND + 3), "partial: 32003 bytes")],
)
def test_a_file_that_is_no_recording_is_named_and_left(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    raw, target = tmp_path / "raw", tmp_path / "2026" / "kept.flac"
    if content is not None:
        raw.write_bytes(content)
    with pytest.raises(flac.Unfit, match=fault):
        flac.keep(raw, target)
    assert not target.exists()
    assert raw.exists() == (content is not None)


def test_a_store_that_cheats_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, target = tmp_path / "raw", tmp_path / "kept.flac"
    raw.write_bytes(b"\1" * SECOND)
    encode = flac._encode

    def encode_less(source: object, unfinished: Path) -> None:
        with (tmp_path / "other").open("rb") as other:
            encode(other, unfinished)

    (tmp_path / "other").write_bytes(b"\1" * (SECOND - 4))
    monkeypatch.setattr(flac, "_encode", encode_less)
    with pytest.raises(flac.Unlike, match="does not read back"):
        flac.keep(raw, target)
    assert not target.exists()


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    def memory_of(seconds: int) -> int:
        raw = tmp_path / f"{seconds}"
        with raw.open("wb") as file:
            file.truncate(seconds * SECOND)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE_MEMORY, raw, tmp_path / "kept.flac"],
            check=True,
            stdout=subprocess.PIPE,
        )
        return int(done.stdout)

    minutes, hour = memory_of(120), memory_of(3600)
    assert hour - minutes < 5_000  # KiB; the raw hour is 112 500


def test_kept_files_are_for_the_owner_only(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\0" * SECOND)
    flac.keep(tmp_path / "raw", tmp_path / "kept.flac")
    assert (tmp_path / "kept.flac").stat().st_mode & 0o777 == 0o600
