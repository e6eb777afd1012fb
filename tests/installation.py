"""The product as a server gets it: its wheel, and what is locked to run."""

import subprocess
import sys
from pathlib import Path

from callcenter.platform.core.settings import ROOT


def install(folder: Path) -> None:
    """Make the wheel and an environment of it and requirements.lock in a folder.

    It is outside the clone, and the product's then, as docs/operations/running.md says.
    """
    subprocess.run([ROOT / "scripts" / "wheel", folder], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    environment = folder / ".venv"
    _uv("venv", "--clear", "--python", sys.executable, environment)
    target = ("pip", "install", "--python", environment / "bin" / "python", "--no-deps")
    locked = (*target, "--compile-bytecode", "--require-hashes", "-r", ROOT / "requirements.lock")
    # Set-up has left the packages in uv's cache, unless that was taken away since.
    if not _uv(*locked, "--offline", check=False):
        _uv(*locked)
    _uv(*target, "--compile-bytecode", "--offline", wheel)


def _uv(*arguments: str | Path, check: bool = True) -> bool:
    done = subprocess.run(
        [ROOT / "scripts" / "uv", *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.returncode == 0
