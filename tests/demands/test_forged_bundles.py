"""A bundle that the center did not make for this demand fails the steps that the page says."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callcenter.demands import verify_bundle
from callcenter.demands.bundle_format import BundleFile, encrypt, part_of, read_recipient, sign
from callcenter.demands.rules.manifest import CustodyEntry, DisclosedRecording, manifest
from callcenter.demands.rules.signing import fingerprint, public_pem
from callcenter.platform.core.settings import ROOT

CENTER, FORGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SCRIPT = Path(verify_bundle.__file__)
DEMAND = "26-0007"
LETTER = b"%PDF-1.7 our letter"
FIRST, SECOND = "recordings/0001-2600000014.flac", "recordings/0002-2600000022.flac"
PLAIN = tarfile.REGTYPE


class Member(NamedTuple):
    """A member of a tar: of what name, content and kind, and a size that it may only claim."""

    name: str
    content: bytes
    kind: bytes = PLAIN
    link: str = ""
    claims: int | None = None


def parts(key: Ed25519PrivateKey = CENTER, demand: str = DEMAND) -> list[BundleFile]:
    """The files of a bundle of two recordings, signed as the worker signs them."""
    audio = [part_of(FIRST, b"sound" * 5000), part_of(SECOND, b"other" * 5000)]
    about = {
        "demand": demand,
        "letter": "03-2/117, 2026-11-20",
        "letter_sha256": hashlib.sha256(LETTER).hexdigest(),
        "answer": f"{demand}/1, 2026-11-27T12:00:00+05:00",
    }
    custody = [CustodyEntry("2026-11-20T14:00:00+05:00", "recorded", "switch", "conversation")]
    at = "2026-11-20T14:00:00+05:00"
    listed = [
        DisclosedRecording(
            part.name, part.sha256, part.bytes, "2600000014", "2001", at, at, 1000, custody
        )
        for part in audio
    ]
    return sign(key, manifest(about, listed), [part_of("letter.pdf", b"%PDF-1.7 ours"), *audio])


def members(files: Sequence[BundleFile]) -> list[Member]:
    return [Member(each.name, each.open().read()) for each in files]


def packed(listed: Sequence[Member]) -> bytes:
    """A tar of members that no tool would write, as a forger's does."""
    archive = io.BytesIO()
    for each in listed:
        header = tarfile.TarInfo(each.name)
        header.size = len(each.content) if each.claims is None else each.claims
        header.type, header.linkname = each.kind, each.link
        archive.write(header.tobuf(tarfile.GNU_FORMAT))  # which can claim any size
        archive.write(each.content + bytes(-len(each.content) % tarfile.BLOCKSIZE))
    return archive.getvalue() + bytes(2 * tarfile.BLOCKSIZE)


def manual() -> str:
    return (ROOT / "docs/operations/disclosures.md").read_text()


def steps(demand: str, key: str) -> str:
    """What the receiver is told to run each time, with what only they know filled in."""
    said = manual().split("## Each time")[1].split("```")[1]
    return said.replace("26-0001", demand).replace("SHA256 ", f"{key} ")


STEPS = steps(DEMAND, fingerprint(CENTER))


class Receiver:
    """The authority at its machine: with its key, that of the center, and the script."""

    def __init__(self, home: Path) -> None:
        self.home = home
        secret = pyrage.x25519.Identity.generate()
        self.recipient = str(secret.to_public())
        (home / "authority.key").write_text(f"{secret}\n")
        (home / "center.pem").write_text(public_pem(CENTER))
        (home / "verify_bundle.py").write_bytes(SCRIPT.read_bytes())

    def open(self, tar: bytes, said: str = STEPS) -> subprocess.CompletedProcess[str]:
        """Carry out the steps with this tar, encrypted to the receiver's key."""
        recipient = read_recipient(self.recipient)
        (self.home / "bundle.tar.age").write_bytes(pyrage.encrypt(tar, [recipient]))
        return subprocess.run(
            ["bash", "-euc", said],
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    return Receiver(tmp_path)


def test_a_bundle_of_the_center_is_verified_and_unpacked(receiver: Receiver) -> None:
    secret = pyrage.x25519.Identity.generate()
    sealed = io.BytesIO()
    encrypt(parts(), datetime.now(UTC), secret.to_public(), sealed)
    ran = receiver.open(pyrage.decrypt(sealed.getvalue(), [secret]))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(
        "VERIFIED / ПРОВЕРЕНО / РАСТАЛДЫ: 2 recordings in answer 26-0007/1"
    )
    opened = receiver.home / "opened"
    unpacked = {
        str(file.relative_to(opened)): file.read_bytes()
        for file in opened.rglob("*")
        if file.is_file()
    }
    assert unpacked == {each.name: each.content for each in members(parts())}


def own_key(listed: list[Member]) -> list[Member]:
    return [*members(parts(FORGER)), Member("center.pem", public_pem(FORGER).encode())]


def changed(name: str) -> Callable[[list[Member]], list[Member]]:
    return lambda listed: [
        Member(each.name, each.content[:-1] + b"!") if each.name == name else each
        for each in listed
    ]


def resigned_sums(listed: list[Member]) -> list[Member]:
    """Both lists say the forger's sum of a recording; only one of them is signed anew."""
    return [*members(parts(FORGER))[:2], *listed[2:]]


def added(*more: Member) -> Callable[[list[Member]], list[Member]]:
    return lambda listed: [*listed, *more]


FORGED: dict[str, Callable[[list[Member]], list[Member]]] = {
    "own key inside": own_key,
    "another key": lambda listed: members(parts(FORGER)),
    "one list of another key": resigned_sums,
    "changed recording": changed(FIRST),
    "changed manifest": changed("manifest.json"),
    "changed sums": changed("SHA256SUMS"),
    "changed letter": changed("letter.pdf"),
    "missing recording": lambda listed: listed[:-1],
    "missing letter": lambda listed: [each for each in listed if each.name != "letter.pdf"],
    "missing signature": lambda listed: [each for each in listed if each.name != "SHA256SUMS.sig"],
    "added file": added(Member("recordings/0003-2600000030.flac", b"sound")),
    "hidden file": added(Member(".bashrc", b"rm -rf /")),
    "two of one name": added(Member(FIRST, b"sound" * 5000)),
    "second manifest": added(Member("manifest.json", b"{}")),
    "path upwards": added(Member("../../outside", b"x")),
    "absolute path": added(Member("/tmp/outside-of-it", b"x")),
    "symbolic link": added(Member("recordings/more", b"", tarfile.SYMTYPE, "/etc")),
    "link in place of a recording": lambda listed: [
        *listed[:-1],
        Member(SECOND, b"", tarfile.SYMTYPE, "/etc/passwd"),
    ],
    "hard link": added(Member("recordings/more", b"", tarfile.LNKTYPE, "../../authority.key")),
    "device": added(Member("recordings/more", b"", tarfile.CHRTYPE)),
    "folder": added(Member("more", b"", tarfile.DIRTYPE)),
    "long name": lambda listed: [
        *listed[:-1],
        Member("././@LongLink", b"../outside\0", tarfile.GNUTYPE_LONGNAME),
        listed[-1],
    ],
    "huge recording": lambda listed: [
        *listed[:-1],
        listed[-1]._replace(claims=2**43),
    ],
    "huge manifest": lambda listed: [*listed[:2], listed[2]._replace(claims=2**43), *listed[3:]],
    "negative size": lambda listed: [*listed[:-1], listed[-1]._replace(claims=-512)],
    "other demand": lambda listed: members(parts(demand="25-0007")),
    "nothing": lambda listed: [],
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_bundle_fails_and_leaves_nothing(receiver: Receiver, how: str) -> None:
    ran = receiver.open(packed(FORGED[how](members(parts()))))
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert ran.stderr.startswith("NOT VERIFIED / НЕ ПРОВЕРЕНО / РАСТАЛМАДЫ: "), ran.stderr
    assert list((receiver.home / "opened").iterdir()) == []
    assert not (receiver.home.parent / "outside").exists()


@pytest.mark.parametrize("left", [0, 511, 512, 1000, -512, -1024, -1025, -5000, -9000])
def test_a_truncated_bundle_fails(receiver: Receiver, left: int) -> None:
    whole = packed(members(parts()))
    assert receiver.open(whole[:left]).returncode == 1


@pytest.mark.parametrize("more", [b"\0", bytes(512), b"x" * 512])
def test_what_follows_the_end_of_a_bundle_fails(receiver: Receiver, more: bytes) -> None:
    assert receiver.open(packed(members(parts())) + more).returncode == 1


def test_lists_that_disagree_fail_though_both_are_signed(receiver: Receiver) -> None:
    """As if the center had signed them: no name leads out of the folder even then."""
    listed = json.loads(members(parts())[2].content)
    for name in ("../outside", "/tmp/outside-of-it", "recordings/../../x", FIRST, "letter.pdf"):
        listed["recordings"][1]["file"] = name
        signed = sign(CENTER, json.dumps(listed).encode(), [part_of(name, b"other" * 5000)])
        ran = receiver.open(packed(members(signed)))
        assert ran.returncode == 1
        assert "lists a name that it must not" in ran.stderr


def test_a_key_of_another_fingerprint_is_not_used(receiver: Receiver) -> None:
    """Whoever put a key of theirs beside a bundle of theirs is found out by its fingerprint."""
    (receiver.home / "center.pem").write_text(public_pem(FORGER))
    ran = receiver.open(packed(members(parts(FORGER))))
    assert ran.returncode == 1
    assert "not the key of this fingerprint" in ran.stderr


def test_a_folder_with_something_in_it_is_refused(receiver: Receiver) -> None:
    tar = packed(members(parts()))
    assert receiver.open(tar).returncode == 0
    again = receiver.open(tar)
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def test_another_letter_of_the_same_number_is_refused(receiver: Receiver) -> None:
    tar = packed(members(parts()))
    letter = receiver.home / "letter-of-ours.pdf"
    said = STEPS.replace(" --key", " --letter letter-of-ours.pdf --key")
    letter.write_bytes(LETTER + b" ")
    assert "answers another letter" in receiver.open(tar, said).stderr
    letter.write_bytes(LETTER)
    assert receiver.open(tar, said).returncode == 0


def test_the_script_is_the_one_whose_hash_is_published() -> None:
    assert hashlib.sha256(SCRIPT.read_bytes()).hexdigest() in manual()


def test_the_script_needs_nothing_but_python_itself(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, "--help"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "--fingerprint" in ran.stdout
