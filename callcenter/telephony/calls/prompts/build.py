"""Builds the files of `Prompts`: those that are missing or would come out differently."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.settings import Settings
from callcenter.telephony.calls.prompts import HOLD_MUSIC, MANIFEST
from callcenter.telephony.calls.prompts.audio_processing import Samples, hush, to_alaw
from callcenter.telephony.calls.prompts.espeak import Espeak
from callcenter.telephony.calls.prompts.music import hold_music
from callcenter.telephony.calls.prompts.texts import PAUSE, texts
from callcenter.telephony.calls.prompts.voices import UnusableVoice, find_voices, read_voice

PAUSE_LENGTH = 0.35  #: seconds

Manifest = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Built:
    """Result of a build: number of files, of those made now, and of synthetic ones."""

    files: int
    made: int
    synthetic: int


@dataclass(frozen=True)
class _SynthesisJob:
    """Job for one file; `key` changes when the file would come out differently."""

    name: str
    source: Literal["synthetic", "human", "own"]
    key: str
    make: Callable[[], Samples]


def build(settings: Settings, progress: Callable[[int, int], None]) -> Built:
    """Build the prompts under `settings.prompts` as raw A-law, 8000 Hz, mono.

    `progress(done, all)` is called after every file made. Files are replaced whole, so a switch
    that is playing one is not disturbed; two builds at once wait for each other. Those of former
    texts stay, for controllers of the version before. Raises InvalidRequest that names every human
    recording that cannot be used, DependencyUnavailable when espeak-ng is missing, OperationFailed
    when a file cannot be written.
    """
    folder = settings.prompts
    jobs = _plan_jobs(settings.voices)
    try:
        with _lock(folder):
            manifest = _read_manifest(folder)
            stale = [job for job in jobs if not _is_current(folder, job, manifest)]
            manifest |= _make_all(folder, stale, progress)
            _write(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    except OSError as exc:
        raise OperationFailed(f"cannot write prompts to {folder}: {exc}") from exc
    synthetic = sum(job.source == "synthetic" for job in jobs)
    return Built(len(jobs), len(stale), synthetic)


def _plan_jobs(voices_folder: Path) -> list[_SynthesisJob]:
    # The arithmetic is part of every key, so changing it never leaves old files behind.
    sources = ("audio_processing", "music", "build")
    parts = (Path(__file__).with_name(f"{source}.py") for source in sources)
    own = "".join(map(_content, parts))
    engine = Espeak()
    voices = find_voices(voices_folder)
    jobs = [_SynthesisJob(HOLD_MUSIC, "own", _key(own), hold_music)]
    for language in CALLER_LANGUAGES:
        pause = partial(hush, PAUSE_LENGTH)
        jobs.append(_SynthesisJob(f"{language}/{PAUSE}", "own", _key(own), pause))
        for prompt, text in texts().items():
            name, words = f"{language}/{prompt}", text.machine[language]
            if voice := voices.get(name):
                key = _key(own, _content(voice))
                jobs.append(_SynthesisJob(name, "human", key, partial(read_voice, voice)))
            else:
                key = _key(own, engine.voice, language, words)
                jobs.append(
                    _SynthesisJob(name, "synthetic", key, partial(engine.say, language, words))
                )
    return jobs


def _make_all(
    folder: Path, jobs: list[_SynthesisJob], progress: Callable[[int, int], None]
) -> Manifest:
    for job in jobs:
        (folder / job.name).parent.mkdir(parents=True, exist_ok=True)
    # Human voices first: when one cannot be used, it is known in a moment.
    human = [job for job in jobs if job.source == "human"]
    rest = [job for job in jobs if job.source != "human"]
    made: Manifest = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for batch in (human, rest):
                unusable = []
                for future in as_completed(pool.submit(_make, folder, job) for job in batch):
                    try:
                        made |= future.result()
                    except UnusableVoice as exc:
                        unusable.append(str(exc))
                    progress(len(made), len(jobs))
                if unusable:
                    raise InvalidRequest("; ".join(sorted(unusable)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return made


def _make(folder: Path, job: _SynthesisJob) -> Manifest:
    path = folder / f"{job.name}.alaw"
    _write(path, to_alaw(job.make()))
    return {job.name: _entry(job, path)}


def _is_current(folder: Path, job: _SynthesisJob, manifest: Manifest) -> bool:
    return manifest.get(job.name) == _entry(job, folder / f"{job.name}.alaw")


def _entry(job: _SynthesisJob, path: Path) -> dict[str, str]:
    return {"source": job.source, "key": job.key, "sha256": _content(path)}


def _read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the last build; empty when unreadable: all is built again."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _content(path: Path) -> str:
    """Return the SHA-256 of a file; empty when it cannot be read."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return ""


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
