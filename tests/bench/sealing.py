"""How fast a recording is sealed, in multiples of its length, and in how much memory."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from callcenter.recordings.sealing.audio import RATE
from callcenter.sipphone.audio import decode
from tests.bench.results import table

LENGTHS = {"4 s": 4, "3 minutes": 180, "1 hour": 3600, "4 hours": 4 * 3600}
TIMES = 5  # each is sealed; the fastest counts, for others run on the machine too
APART = 7  # seconds between what the two parties say: the same speech
# In a process of its own, whose memory it is.
SEAL = """
import resource, sys, time
from pathlib import Path
from tempfile import TemporaryFile
from callcenter.recordings.sealing import audio, keys
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.platform.core.settings import Settings

raw, folder = map(Path, sys.argv[1:3])
settings = Settings(_env_file=None, var=folder, recordings=folder / "recordings")
if not settings.keys.exists():
    keys.make(settings.keys)
vault = SealedStore(settings)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
taken = []
for _ in range(int(sys.argv[3])):
    begun = time.process_time()
    with TemporaryFile(dir=folder) as file:
        audio.encode(raw, file)
        sealed = vault.seal(file, "2026/11/24/kept.flac.age")
    taken.append(time.process_time() - begun)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(min(taken), sealed.bytes, after - before)
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SealingCost:
    """CPU seconds of one core, and bytes: of the sealed file, and by which the process grew."""

    name: str
    length: int  #: seconds
    cpu: float
    stored: int
    grown: int


def measure(built: Path, say: Say) -> list[SealingCost]:
    """Measure sealing of each length, of two parties who both speak without a pause."""
    speech = spoken(built)
    found = []
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        raw = Path(folder) / "raw"
        (Path(folder) / "spool").mkdir()
        for name, length in LENGTHS.items():
            record(raw, speech, length)
            command = (sys.executable, "-c", SEAL, raw, folder, str(TIMES))
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            cpu, stored, grown = done.stdout.split()
            found.append(SealingCost(name, length, float(cpu), int(stored), int(grown) * 1024))
            say(f"{name}: {length / float(cpu):.0f} times real time")
    return found


def spoken(built: Path) -> np.ndarray:
    """All prompts, one after the other."""
    files = sorted(built.rglob("*.alaw"))
    return np.concatenate([decode(file.read_bytes(), "PCMA") for file in files])


def record(raw: Path, speech: np.ndarray, length: int) -> None:
    """Write a raw file as the switch does, of so many seconds; a minute at a time."""
    both = np.column_stack([speech, np.roll(speech, APART * RATE)]).astype("<i2")
    with raw.open("wb") as file:
        for second in range(0, length, 60):
            seconds = min(60, length - second)
            at = np.arange(second * RATE, (second + seconds) * RATE) % len(both)
            file.write(both[at].tobytes())


def shown(found: list[SealingCost]) -> str:
    """One row for each length."""
    heads = ("recording", "CPU ms", "times real time", "stored KB a minute", "grown by MB")
    rows = [
        (
            each.name,
            f"{each.cpu * 1000:.1f}",
            f"{each.length / each.cpu:.0f}",
            f"{each.stored * 60 / each.length / 1000:.0f}",
            f"{each.grown / 1e6:.1f}",
        )
        for each in found
    ]
    return table([heads, *rows])
