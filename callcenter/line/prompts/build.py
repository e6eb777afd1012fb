"""Makes the files of `Prompts`: only those that are not there yet or would come out differently."""

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

from callcenter.errors import AskedWrongly, WeFailed
from callcenter.line.prompts import HOLD_MUSIC, MANIFEST
from callcenter.line.prompts.espeak import Espeak
from callcenter.line.prompts.music import hold_music
from callcenter.line.prompts.sound import Samples, hush, to_alaw
from callcenter.line.prompts.texts import LANGUAGES, PAUSE, texts
from callcenter.line.prompts.voices import UnusableVoice, find_voices, read_voice
from callcenter.settings import Settings

PAUSE_LENGTH = 0.35  #: seconds

Manifest = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Built:
    """How many files there are, how many of them were made now, how many speak synthetically."""

    files: int
    made: int
    synthetic: int


@dataclass(frozen=True)
class _Order:
    """One file: `key` changes when the file would come out differently."""

    name: str
    source: Literal["synthetic", "human", "own"]
    key: str
    make: Callable[[], Samples]


def build(settings: Settings, progress: Callable[[int, int], None]) -> Built:
    """Makes what callers hear, under `settings.prompts`: raw A-law of 8000 Hz, mono.

    `progress(done, all)` is called after every file made. Files are replaced whole, so a switch
    that is playing one is not disturbed; two builds at once wait for each other.
    Raises AskedWrongly that names every human recording that cannot be used, NotReady when
    espeak-ng is missing, WeFailed when a file cannot be written.
    """
    folder = settings.prompts
    orders = _orders(settings.voices)
    try:
        with _alone(folder):
            manifest = _read_manifest(folder)
            stale = [order for order in orders if not _is_made(folder, order, manifest)]
            manifest |= _make_all(folder, stale, progress)
            made = {order.name: manifest[order.name] for order in orders}
            _write(folder / MANIFEST, json.dumps(made, indent=1).encode())
    except OSError as exc:
        raise WeFailed(f"cannot write prompts to {folder}: {exc}") from exc
    synthetic = sum(order.source == "synthetic" for order in orders)
    return Built(len(orders), len(stale), synthetic)


def _orders(voices_folder: Path) -> list[_Order]:
    # The arithmetic is part of every key, so changing it never leaves old files behind.
    parts = (Path(__file__).with_name(f"{part}.py") for part in ("sound", "music", "build"))
    own = "".join(map(_content, parts))
    engine = Espeak()
    voices = find_voices(voices_folder)
    orders = [_Order(HOLD_MUSIC, "own", _key(own), hold_music)]
    for language in LANGUAGES:
        pause = partial(hush, PAUSE_LENGTH)
        orders.append(_Order(f"{language}/{PAUSE}", "own", _key(own), pause))
        for prompt, text in texts().items():
            name, words = f"{language}/{prompt}", text.machine[language]
            if voice := voices.get(name):
                key = _key(own, _content(voice))
                orders.append(_Order(name, "human", key, partial(read_voice, voice)))
            else:
                key = _key(own, engine.voice, language, words)
                orders.append(_Order(name, "synthetic", key, partial(engine.say, language, words)))
    return orders


def _make_all(folder: Path, orders: list[_Order], progress: Callable[[int, int], None]) -> Manifest:
    for order in orders:
        (folder / order.name).parent.mkdir(parents=True, exist_ok=True)
    # Human voices first: when one cannot be used, it is known in a moment.
    human = [order for order in orders if order.source == "human"]
    rest = [order for order in orders if order.source != "human"]
    made: Manifest = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for batch in (human, rest):
                unusable = []
                for future in as_completed(pool.submit(_make, folder, order) for order in batch):
                    try:
                        made |= future.result()
                    except UnusableVoice as exc:
                        unusable.append(str(exc))
                    progress(len(made), len(orders))
                if unusable:
                    raise AskedWrongly("; ".join(sorted(unusable)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return made


def _make(folder: Path, order: _Order) -> Manifest:
    path = folder / f"{order.name}.alaw"
    _write(path, to_alaw(order.make()))
    return {order.name: _entry(order, path)}


def _is_made(folder: Path, order: _Order, manifest: Manifest) -> bool:
    return manifest.get(order.name) == _entry(order, folder / f"{order.name}.alaw")


def _entry(order: _Order, path: Path) -> dict[str, str]:
    return {"source": order.source, "key": order.key, "sha256": _content(path)}


def _read_manifest(folder: Path) -> Manifest:
    """What was made before; nothing, if that is not known: then all is made again."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _content(path: Path) -> str:
    """SHA-256 of a file; empty, which no file has, for what cannot be read."""
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
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
