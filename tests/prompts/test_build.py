import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from callcenter.commands.prompts import command
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.telephony.calls.prompts import HOLD_MUSIC, MANIFEST, Prompts
from callcenter.telephony.calls.prompts.audio_processing import RATE, SPEECH_LEVEL, active_level
from callcenter.telephony.calls.prompts.build import Built, build
from callcenter.telephony.calls.prompts.texts import names
from tests.prompts.test_audio_processing import decoded, longest_silence, tone

pytestmark = pytest.mark.slow

ALL = len(names()) + 1  # and the music


def nothing(done: int, every: int) -> None:
    """Ignore progress."""


def settings_in(folder: Path) -> Settings:
    return Settings(var=folder / "var", voices=folder / "voices")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, whole_prompts: Path) -> Settings:
    """The prompts of all runs; read-only."""
    settings = settings_in(tmp_path_factory.mktemp("first"))
    shutil.copytree(whole_prompts, settings.prompts)
    return settings


@pytest.fixture
def copy(first: Settings, tmp_path: Path) -> Settings:
    """A copy of the prompts, to be changed."""
    shutil.copytree(first.var, tmp_path / "var")
    return settings_in(tmp_path)


def record(settings: Settings, name: str, seconds: float = 1, *, rate: int = 44100) -> Path:
    """Write a recording that passes as a human voice."""
    path = settings.voices / name
    path.parent.mkdir(parents=True, exist_ok=True)
    voice = tone(seconds, rate=rate)
    soundfile.write(path, np.column_stack([voice, voice]), rate)
    return path


def played(settings: Settings, name: str) -> bytes:
    return (settings.prompts / f"{name}.alaw").read_bytes()


def frequency(alaw: bytes) -> float:
    heard = decoded(alaw)
    return float(np.abs(np.fft.rfft(heard)).argmax() * RATE / heard.size)


def test_prompts_are_audible_equally_loud_and_long_enough(
    first: Settings,
) -> None:
    settings = first
    spoken = Prompts.load(settings).synthetic()
    assert len(spoken) == ALL - 3
    for name in spoken:
        heard = decoded(played(settings, name))
        assert active_level(heard) == pytest.approx(SPEECH_LEVEL, abs=0.5), name
        assert 0.15 < np.abs(heard).max() < 0.95, name
        assert 0.2 < heard.size / RATE < 20, name


def test_no_prompt_is_silent_for_a_quarter_of_a_second(first: Settings) -> None:
    for name in [*names(), HOLD_MUSIC]:
        assert longest_silence(decoded(played(first, name))) < 0.25, name


def test_longer_texts_take_longer(first: Settings) -> None:
    prompts = Prompts.load(first)
    for language in ("kk", "ru"):
        assert prompts.length(language, "greeting") > prompts.length(language, "greeting_short") > 1
        assert prompts.length(language, "greeting_short") > prompts.length(language, "number_1")


def test_the_two_languages_and_any_two_prompts_sound_different(
    first: Settings,
) -> None:
    settings = first
    sounds = {played(settings, name) for name in Prompts.load(settings).synthetic()}
    assert len(sounds) == ALL - 3


def test_asterisk_gets_whole_paths_without_extension(first: Settings) -> None:
    settings = first
    prompts = Prompts.load(settings)
    sound = prompts.sound("kk", "greeting")
    assert sound == f"sound:{settings.prompts}/kk/greeting"
    assert Path(f"{sound.removeprefix('sound:')}.alaw").is_file()
    spelled = prompts.digits("ru", "12*")
    folder = f"sound:{settings.prompts}/ru"
    assert spelled == [f"{folder}/number_1", f"{folder}/number_2", f"{folder}/star"]


def test_a_second_build_makes_nothing(copy: Settings) -> None:
    before = {name: (copy.prompts / f"{name}.alaw").stat().st_mtime_ns for name in names()}
    assert build(copy, nothing).made == 0
    assert before == {n: (copy.prompts / f"{n}.alaw").stat().st_mtime_ns for n in names()}


def test_prompts_cut_short_for_tests_are_not_made_again(
    built_prompts: Path, tmp_path: Path
) -> None:
    """A site that one test begins over them leaves them short for those that follow."""
    settings = settings_in(tmp_path)
    shutil.copytree(built_prompts, settings.prompts)
    assert build(settings, nothing).made == 0


def test_only_what_was_damaged_or_lost_is_made_again(copy: Settings) -> None:
    right = played(copy, "kk/greeting")
    (copy.prompts / "kk/greeting.alaw").write_bytes(right[:100])
    (copy.prompts / "ru/message_speak.alaw").unlink()
    seen: list[tuple[int, int]] = []
    assert build(copy, lambda done, every: seen.append((done, every))).made == 2
    assert played(copy, "kk/greeting") == right
    assert seen == [(1, 2), (2, 2)]


def test_prompts_of_the_version_before_stay(copy: Settings) -> None:
    """Its controllers start again beside ours, and refuse to without them."""
    made = json.loads((copy.prompts / MANIFEST).read_text())
    former = copy.prompts / "kk" / "former.alaw"
    former.write_bytes(b"its words")
    entry = {"source": "synthetic", "key": "its", "sha256": "its"}
    (copy.prompts / MANIFEST).write_text(json.dumps(made | {"kk/former": entry}))
    assert build(copy, nothing).made == 0
    assert json.loads((copy.prompts / MANIFEST).read_text()) == made | {"kk/former": entry}
    assert former.read_bytes() == b"its words"


@pytest.mark.parametrize("damaged", ["{", "[]"])
def test_a_damaged_memory_of_the_last_build_makes_everything_again(
    copy: Settings, damaged: str
) -> None:
    (copy.prompts / MANIFEST).write_text(damaged)
    assert build(copy, nothing).made == ALL
    assert build(copy, nothing).made == 0


def test_the_second_of_two_builds_waits_and_finds_all(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        builds = [pool.submit(build, settings, nothing) for _ in range(2)]
    made = [Built(files=ALL, made=made, synthetic=ALL - 3) for made in (0, ALL)]
    assert sorted((future.result() for future in builds), key=lambda each: each.made) == made


@pytest.mark.parametrize("file", ["message_speak.wav", "message_speak.flac", "message_speak.WAV"])
def test_a_human_recording_replaces_the_synthetic_voice(copy: Settings, file: str) -> None:
    record(copy, f"ru/{file}", 2)
    synthetic = played(copy, "ru/message_speak")
    built = build(copy, nothing)
    assert (built.made, built.synthetic) == (1, ALL - 4)
    assert frequency(played(copy, "ru/message_speak")) == pytest.approx(700, abs=5)
    assert active_level(decoded(played(copy, "ru/message_speak"))) == pytest.approx(
        SPEECH_LEVEL, abs=0.5
    )
    assert played(copy, "kk/message_speak") != synthetic
    prompts = Prompts.load(copy)
    assert "ru/message_speak" not in prompts.synthetic()
    assert "kk/message_speak" in prompts.synthetic()
    assert prompts.length("ru", "message_speak") == pytest.approx(2, abs=0.2)
    assert build(copy, nothing).made == 0


def test_a_recording_replaces_the_machine_until_it_is_removed(
    copy: Settings,
) -> None:
    synthetic = played(copy, "kk/message_speak")
    record(copy, "kk/message_speak.wav", 1)
    build(copy, nothing)
    path = record(copy, "kk/message_speak.wav", 2)
    assert build(copy, nothing).made == 1
    assert Prompts.load(copy).length("kk", "message_speak") == pytest.approx(2, abs=0.2)
    path.unlink()
    assert build(copy, nothing).made == 1
    assert played(copy, "kk/message_speak") == synthetic


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("Кешірім сұраймыз.")


def nothing_to_hear(path: Path) -> None:
    soundfile.write(path, np.zeros(RATE), RATE)


def too_short(path: Path) -> None:
    soundfile.write(path, tone(0.05), RATE)


def half(path: Path) -> None:
    soundfile.write(path, tone(2), RATE)
    path.write_bytes(path.read_bytes()[:16000])


def huge_header(path: Path) -> None:
    soundfile.write(path, tone(1), RATE)
    whole = bytearray(path.read_bytes())
    whole[4:8] = whole[40:44] = b"\xff\xff\xff\x7f"
    path.write_bytes(whole)


def huge_flac_header(path: Path) -> None:
    """Return a FLAC header that declares 2^36 samples, half a terabyte."""
    soundfile.write(path, tone(1), RATE, format="FLAC")
    whole = bytearray(path.read_bytes())
    whole[21] |= 0x0F
    whole[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(whole)


def many_channels(path: Path) -> None:
    soundfile.write(path, np.column_stack([tone(1)] * 8), RATE)


def slow_rate(path: Path) -> None:
    soundfile.write(path, tone(1), 1)


def not_numbers(path: Path) -> None:
    soundfile.write(path, np.full(RATE, np.nan), RATE, subtype="FLOAT")


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (empty, "not a sound file"),
        (text, "not a sound file"),
        (nothing_to_hear, "too short or silent"),
        (too_short, "too short or silent"),
        (half, "cut short"),
        (huge_header, "cut short"),
        (huge_flac_header, "longer than 120 s"),
        (many_channels, "8 channels"),
        (slow_rate, "1 Hz"),
        (not_numbers, "not numbers"),
        (folder, "not a file"),
        (pipe, "not a file"),
    ],
)
def test_an_unusable_recording_is_named_and_stops_the_build(
    copy: Settings, spoil: Callable[[Path], None], why: str
) -> None:
    good, synthetic = record(copy, "ru/message_speak.wav"), played(copy, "kk/message_speak")
    bad = good.parent.parent / "kk" / "message_speak.wav"
    bad.parent.mkdir()
    spoil(bad)
    with pytest.raises(InvalidRequest, match=why) as raised:
        build(copy, nothing)
    assert str(bad) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(good) not in str(raised.value)
    assert played(copy, "kk/message_speak") == synthetic


def test_all_recordings_that_cannot_be_used_are_named_at_once(copy: Settings) -> None:
    for name in ("kk/message_speak.wav", "ru/message_speak.wav"):
        empty(record(copy, name))
    with pytest.raises(InvalidRequest, match=r"kk/message_speak\.wav.*ru/message_speak\.wav"):
        build(copy, nothing)


def test_a_mistyped_or_doubled_recording_is_named(copy: Settings) -> None:
    for name in ("kk/greting.wav", "ru/message_speak.wav", "ru/message_speak.flac"):
        record(copy, name)
    with pytest.raises(InvalidRequest, match=r"kk/greting\.wav .*ru/message_speak\.wav "):
        build(copy, nothing)


def test_other_files_beside_the_recordings_are_left_alone(copy: Settings) -> None:
    (copy.voices / "kk").mkdir(parents=True)
    (copy.voices / "kk" / "README.txt").write_text("who spoke, and when")
    assert build(copy, nothing).made == 0


def test_missing_empty_and_unreadable_prompts_are_all_named_at_start(copy: Settings) -> None:
    (copy.prompts / "kk/greeting.alaw").unlink()
    (copy.prompts / "ru/menu_main.alaw").write_bytes(b"")
    (copy.prompts / "ru/number_7.alaw").unlink()
    (copy.prompts / "ru/number_7.alaw").mkdir()
    (copy.prompts / f"{HOLD_MUSIC}.alaw").unlink()
    with pytest.raises(DependencyUnavailable, match="callcenter prompts build") as raised:
        Prompts.load(copy)
    assert "kk/greeting, ru/menu_main, ru/number_7, moh/calm;" in str(raised.value)


def test_prompts_that_were_never_built_are_demanded(tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match="callcenter prompts build"):
        Prompts.load(settings_in(tmp_path))


def test_a_folder_that_asterisk_would_misread_is_refused(copy: Settings, tmp_path: Path) -> None:
    shutil.copytree(copy.var, tmp_path / "a,b" / "var")
    with pytest.raises(DependencyUnavailable, match="CALLCENTER_VAR"):
        Prompts.load(settings_in(tmp_path / "a,b"))


def test_without_espeak_the_build_says_what_to_install(
    copy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DependencyUnavailable, match="install the package espeak-ng"):
        build(copy, nothing)


@pytest.mark.parametrize(
    ("script", "why"),
    [('[ "$1" = --version ] || exit 1', "exit status 1"), ("true", "gave no sound")],
)
def test_a_broken_espeak_is_reported_and_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    broken = tmp_path / "bin" / "espeak-ng"
    broken.parent.mkdir()
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent))
    with pytest.raises(OperationFailed, match=why):
        build(settings_in(tmp_path), nothing)


def test_recordings_in_a_place_that_is_no_folder_are_reported(copy: Settings) -> None:
    copy.voices.write_text("a file where a folder should be")
    with pytest.raises(InvalidRequest, match="cannot read the folder of recordings"):
        build(copy, nothing)


def test_prompts_that_cannot_be_written_are_reported(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where a folder should be")
    with pytest.raises(OperationFailed, match="cannot write prompts to"):
        build(settings_in(tmp_path), nothing)


def test_the_command_builds_and_lists(copy: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCENTER_VAR", str(copy.var))
    monkeypatch.setenv("CALLCENTER_VOICES", str(copy.voices))
    record(copy, "kk/message_speak.wav")
    built = CliRunner().invoke(command, ["build"])
    assert built.exit_code == 0
    assert f"prompts: 1 of {ALL} made" in built.output
    assert f"{ALL - 4} are synthetic" in built.output
    every = CliRunner().invoke(command, ["list"]).output.splitlines()
    machine = CliRunner().invoke(command, ["list", "--synthetic"]).output.splitlines()
    assert len(every) == len(machine) + 1 == ALL - 3
    (human,) = set(every) - set(machine)
    assert human.startswith("kk/message_speak\t")
    assert "\thuman\t" in human
    assert human.endswith("Сөйлей беріңіз.")


def test_what_was_built_from_what_is_noted_beside_the_prompts(copy: Settings) -> None:
    sources = json.loads((copy.prompts / MANIFEST).read_text())
    assert sources.keys() >= {*names(), HOLD_MUSIC}
    (copy.prompts / MANIFEST).unlink()
    with pytest.raises(DependencyUnavailable, match=MANIFEST):
        Prompts.load(copy)
