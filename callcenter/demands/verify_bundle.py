#!/usr/bin/env python3
"""Verify and unpack a bundle of recordings: all steps of the receiver, in one command.

    python3 verify_bundle.py --demand 26-0001 --key center.pem --fingerprint SHA256 \\
        bundle.tar EMPTY_FOLDER

Stands alone: Python 3.8 or newer, and openssl 3.0 or newer on the path. Nothing is believed that
the bundle says of itself: the key, its fingerprint and the number of the demand come from you. What
is unpacked is what the signed manifest lists, no more and no less; the folder has it only after the
last check. The exit status is 0 when all is verified, else 1.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

FORMAT = "callcenter-disclosure-1"
SUMS, MANIFEST, LETTER = "SHA256SUMS", "manifest.json", "letter.pdf"
SIGNED_LISTS = (SUMS, f"{SUMS}.sig", MANIFEST, f"{MANIFEST}.sig")  # the first of every bundle
RECORDING = re.compile(r"recordings/[0-9A-Za-z][0-9A-Za-z.-]*")
SUM = re.compile(r"([0-9a-f]{64})  (\S+)")
LARGEST = 64 * 1024 * 1024  # bytes of what is no recording: the manifest has the size of those
PIECE = 1024 * 1024
KEY_OF_ED25519 = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, before the 32 bytes


class Rejected(Exception):
    """The bundle is not what it has to be."""


def verify(bundle: Path, folder: Path, key: bytes, demand: str, letter: str | None) -> Any:
    """Verify the bundle, unpack it into the empty folder, and return its manifest.

    `key` is in DER, `letter` the SHA-256 of the letter of the demand. Raises Rejected, OSError.
    """
    folder.mkdir(exist_ok=True)
    if any(folder.iterdir()):
        raise Rejected(f"{folder} is not empty: name an empty folder, or a new one")
    with bundle.open("rb") as archive:
        lists = {name: read_list(archive, name) for name in SIGNED_LISTS}
        for name in (SUMS, MANIFEST):
            check_signature(key, name, lists[name], lists[f"{name}.sig"])
        manifest = json.loads(lists[MANIFEST])
        check_demand(manifest, demand, letter)
        sums = read_sums(lists)
        sizes = read_sizes(manifest, sums)
        with tempfile.TemporaryDirectory(prefix="not-verified-", dir=folder) as unverified:
            for name, content in lists.items():
                Path(unverified, name).write_bytes(content)
            unpack(archive, Path(unverified), sums, sizes)
            for each in list(Path(unverified).iterdir()):
                each.rename(folder / each.name)
    return manifest


def check_demand(manifest: Any, demand: str, letter: str | None) -> None:
    """Raise Rejected when the manifest answers another demand than that of the receiver."""
    if manifest["format"] != FORMAT:
        raise Rejected(f"its format is {manifest['format']!r}: take a newer verify_bundle.py")
    if manifest["demand"] != demand:
        raise Rejected(f"it answers the demand {manifest['demand']!r}, not {demand!r}")
    if letter is not None and manifest.get("letter_sha256") != letter:
        raise Rejected("it answers another letter than this one, or another scan of it")


def read_sums(lists: dict[str, bytes]) -> dict[str, str]:
    """SHA-256 by name. Raises Rejected when a sum of the manifest is not that of its bytes."""
    sums: dict[str, str] = {}
    for line in lists[SUMS].decode().splitlines():
        found = SUM.fullmatch(line)
        if not found or found[2] in sums:
            raise Rejected(f"{SUMS} has a line that it must not have: {line!r}")
        sums[found[2]] = found[1]
    for name in (MANIFEST, f"{MANIFEST}.sig"):
        if sums.get(name) != hashlib.sha256(lists[name]).hexdigest():
            raise Rejected(f"{name} has another sum than {SUMS} says")
    return sums


def read_sizes(manifest: Any, sums: dict[str, str]) -> dict[str, int | None]:
    """The files that have to follow, by name, with the size that the manifest says.

    Raises Rejected when the two signed lists do not list the same files.
    """
    recordings: list[Any] = manifest["recordings"]
    sizes: dict[str, int | None] = {LETTER: None}
    for each in recordings:
        if not RECORDING.fullmatch(each["file"]) or each["file"] in sizes:
            raise Rejected(f"{MANIFEST} lists a name that it must not: {each['file']!r}")
        sizes[each["file"]] = int(each["bytes"])
    if sums.keys() != {MANIFEST, f"{MANIFEST}.sig", *sizes} or any(
        sums[each["file"]] != each["sha256"] for each in recordings
    ):
        raise Rejected(f"{MANIFEST} and {SUMS} do not list the same files")
    return sizes


def unpack(
    archive: BinaryIO,
    folder: Path,
    sums: dict[str, str],
    sizes: dict[str, int | None],
) -> None:
    """Write the listed files, each with its sum, and none beside them. Raises Rejected."""
    missing = dict(sizes)
    (folder / "recordings").mkdir()
    for member in iter(lambda: next_member(archive), None):
        if member.name not in missing:
            raise Rejected(f"{member.name!r} is not listed, or is there twice")
        size = missing.pop(member.name)
        if member.size != size and (size is not None or member.size > LARGEST):
            raise Rejected(f"{member.name!r} has another size than it has to have")
        digest = hashlib.sha256()
        with (folder / member.name).open("xb") as file:
            for piece in pieces(archive, member):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != sums[member.name]:
            raise Rejected(f"{member.name!r} was changed: it has another sum")
    if missing:
        raise Rejected(f"missing: {', '.join(missing)}")


def read_list(archive: BinaryIO, name: str) -> bytes:
    """One of the files that stand first. Raises Rejected when something else is there."""
    member = next_member(archive)
    if member is None or member.name != name or member.size > LARGEST:
        raise Rejected(f"this is no bundle: {name} is not where it has to be")
    return b"".join(pieces(archive, member))


def next_member(archive: BinaryIO) -> tarfile.TarInfo | None:
    """The next header of the tar; None at its end. Raises Rejected for all but plain files."""
    block = archive.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        if archive.read(tarfile.BLOCKSIZE + 1) != block:
            raise Rejected("the archive does not end where it has to")
        return None
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.TarError, ValueError) as exc:
        raise Rejected("the archive is cut off or damaged") from exc
    if member.type != tarfile.REGTYPE or member.size < 0:  # no link, folder, or long name
        raise Rejected(f"{member.name!r} is no plain file")
    return member


def pieces(archive: BinaryIO, member: tarfile.TarInfo) -> Iterator[bytes]:
    """The bytes of a member, and no more. Raises Rejected when the archive ends before."""
    left = member.size
    while left:
        piece = archive.read(min(left, PIECE))
        if not piece:
            raise Rejected(f"the archive is cut off within {member.name!r}")
        left -= len(piece)
        yield piece
    archive.read(-member.size % tarfile.BLOCKSIZE)


def read_key(file: Path, fingerprint: str) -> bytes:
    """The key of the center in DER. Raises Rejected unless it has this SHA-256, OSError."""
    inner = re.fullmatch(
        r"\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*",
        file.read_text(encoding="utf-8", errors="replace"),
    )
    der = base64.b64decode(inner[1]) if inner else b""
    if not der.startswith(KEY_OF_ED25519) or len(der) != len(KEY_OF_ED25519) + 32:
        raise Rejected(f"{file} is no public key of Ed25519")
    if hashlib.sha256(der).hexdigest() != re.sub(r"[\s:]", "", fingerprint).lower():
        raise Rejected(f"{file} is not the key of this fingerprint: ask the center by another way")
    return der


def check_signature(key: bytes, name: str, content: bytes, signature: bytes) -> None:
    """Have openssl verify a signature of Ed25519. Raises Rejected, OSError."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"key": key, "in": content, "sig": signature}
        for each, held in files.items():
            Path(folder, each).write_bytes(held)
        command = (
            "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in in -sigfile sig"
        )
        ran = subprocess.run(command.split(), cwd=folder, capture_output=True, check=False)
    if ran.returncode != 0:
        why = (ran.stdout + ran.stderr).decode(errors="replace").strip()
        raise Rejected(f"{name} is not signed with the key of the center (openssl: {why})")


def main() -> int:
    """Verify what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--demand", required=True, help="the number of your demand")
    parser.add_argument("--letter", type=Path, help="the scan that you filed the demand with")
    parser.add_argument("--key", required=True, type=Path, help="center.pem, never of a bundle")
    parser.add_argument("--fingerprint", required=True, help="the SHA-256 of that key")
    parser.add_argument("bundle", type=Path, help="bundle.tar, decrypted with age")
    parser.add_argument("folder", type=Path, help="an empty folder, or a new one")
    given = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):  # a console may lack letters of the verdict
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        letter = hashlib.sha256(given.letter.read_bytes()).hexdigest() if given.letter else None
        key = read_key(given.key, given.fingerprint)
        manifest = verify(given.bundle, given.folder, key, given.demand.strip(), letter)
    except (Rejected, OSError, ValueError, KeyError, TypeError) as exc:
        print(f"NOT VERIFIED / НЕ ПРОВЕРЕНО / РАСТАЛМАДЫ: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    print(  # noqa: T201
        f"VERIFIED / ПРОВЕРЕНО / РАСТАЛДЫ: {len(manifest['recordings'])} recordings "
        f"in answer {manifest['answer']} to the demand {manifest['demand']} "
        f"(letter {manifest['letter']})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
