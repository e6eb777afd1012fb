"""A release is verified as the documents say, and nothing else passes for one."""

import re
import subprocess
from pathlib import Path

import pytest

from callcenter.platform.core.settings import ROOT

PAGE = ROOT / "docs" / "operations" / "running.md"
MANUAL = ROOT / "CONTRIBUTING.md"


def commands(page: Path, heading: str) -> list[str]:
    """The commands of the first block of shell below a heading."""
    section = page.read_text(encoding="utf-8").split(f"### {heading}\n", 1)[1]
    found = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def make_key(folder: Path, name: str) -> Path:
    made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
    return folder / name


def sign(release: Path, key: Path) -> None:
    (release / "SHA256SUMS.sig").unlink(missing_ok=True)
    [command] = commands(MANUAL, "A release")
    subprocess.run(
        ["sh", "-euc", command.replace("OWNER_KEY", str(key))],
        cwd=release,
        check=True,
        capture_output=True,
    )


def is_verified(release: Path) -> bool:
    done = [
        subprocess.run(["sh", "-c", each], cwd=release, capture_output=True, check=False).returncode
        for each in commands(PAGE, "A release is verified")
    ]
    return done == [0, 0]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "callcenter"
    subprocess.run([ROOT / "scripts" / "release", folder], check=True, timeout=120)
    return folder


def test_a_signed_release_is_verified_and_forged_ones_not(release: Path) -> None:
    owner, other = (make_key(release.parent, name) for name in ("owner", "other"))
    public = owner.with_suffix(".pub").read_text()
    signers = release.parent / "callcenter.signers"
    signers.write_text(f'release namespaces="callcenter-release" {public}')
    names = {each.name for each in release.iterdir()}
    assert {"SHA256SUMS", "requirements.lock", "operations.tar.gz"} < names
    assert {Path(each).suffix for each in names} >= {".whl", ".json"}
    assert not is_verified(release)  # nobody has signed it
    sign(release, owner)
    assert is_verified(release)
    lock = release / "requirements.lock"
    content = lock.read_bytes()
    lock.write_bytes(content + b"\n")
    assert not is_verified(release)
    sums = subprocess.run(["sha256sum", lock.name], cwd=release, capture_output=True, check=True)
    (release / "SHA256SUMS").write_bytes(sums.stdout)
    assert not is_verified(release)  # sums that fit, under the signature of others
    sign(release, other)
    assert not is_verified(release)
