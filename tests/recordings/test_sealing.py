"""The sealed store: what is in it can be opened with the center's keys, and with nothing else."""

import os
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrage import encrypt, x25519

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.objects import ObjectMissing, ObjectStoreUnavailable
from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.age import CHUNK, AgeFile, Altered, WrongKey
from callcenter.recordings.sealing.sealed_store import SealedStore

AUDIO = os.urandom(3 * CHUNK + 17)
NAME = "2026/11/24/some.flac.age"
OURS = x25519.Identity.generate()


@pytest.fixture
def sealed_store(settings: Settings) -> SealedStore:
    settings.spool.mkdir(parents=True)
    return SealedStore(settings)


def opened(sealed: bytes, *identities: x25519.Identity) -> AgeFile:
    return AgeFile(
        lambda start, length: sealed[start : start + length], len(sealed), identities or [OURS]
    )


@given(
    st.sampled_from([1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 3, 40 * CHUNK]),
    st.lists(st.tuples(st.floats(0, 1.1), st.integers(0, 3 * CHUNK)), max_size=8),
)
def test_any_part_reads_as_it_was_written(size: int, parts: list[tuple[float, int]]) -> None:
    plain = (AUDIO * 14)[:size]
    file = opened(encrypt(plain, [OURS.to_public()]))
    assert file.seek(0, os.SEEK_END) == size
    assert file.read() == b""
    for share, length in parts:
        start = file.seek(int(size * share))
        read = b""
        while len(read) < length and (piece := file.read(length - len(read))):
            read += piece
        assert read == plain[start : start + length]


def cut_at_a_chunk(sealed: bytes) -> bytes:
    return sealed[: -(17 + 16)]


def one_bit(at: int) -> Callable[[bytes], bytes]:
    return lambda sealed: sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at:][1:]


def chunks_swapped(sealed: bytes) -> bytes:
    begin = len(sealed) - (3 * CHUNK + 17 + 4 * 16)
    one = CHUNK + 16
    first, second = sealed[begin:][:one], sealed[begin + one :][:one]
    return sealed[:begin] + second + first + sealed[begin + 2 * one :]


@pytest.mark.parametrize(
    "alter",
    [
        cut_at_a_chunk,
        chunks_swapped,
        *map(one_bit, (-1, -70_000, -150_000, 0, 30)),
        lambda sealed: sealed[:-1],
        lambda sealed: sealed + b"\0",
        lambda sealed: sealed[:150],
        lambda sealed: b"",
        lambda sealed: b"fLaC" + sealed,
        lambda sealed: sealed.replace(b"--- ", b"--- x"),
        lambda sealed: sealed.replace(b"-> X25519 ", b"-> X25519 A"),
        lambda sealed: b"age-encryption.org/v1\n" + b"-> X25519\n\n" * 5000,
    ],
)
def test_whatever_is_altered_is_noticed(alter: Callable[[bytes], bytes]) -> None:
    sealed = alter(encrypt(AUDIO, [OURS.to_public()]))
    with pytest.raises((Altered, WrongKey)):
        opened(sealed).readall()


def test_another_key_opens_nothing() -> None:
    sealed = encrypt(AUDIO, [x25519.Identity.generate().to_public()])
    with pytest.raises(WrongKey):
        opened(sealed)


def test_debians_age_opens_what_we_sealed(sealed_store: SealedStore, settings: Settings) -> None:
    sealed_store.seal(BytesIO(AUDIO), NAME)
    key = settings.keys / "recordings" / "0001.key"
    reported = subprocess.run(
        ["age", "--decrypt", "-i", key, settings.recordings / NAME],
        check=True,
        stdout=subprocess.PIPE,
    )
    assert reported.stdout == AUDIO


def test_we_open_what_debians_age_sealed(
    sealed_store: SealedStore, settings: Settings, tmp_path: Path
) -> None:
    """With a key of age-keygen's, and after another recipient's."""
    key = settings.keys / "recordings" / "0002.key"
    subprocess.run(["age-keygen", "-o", key], check=True, stderr=subprocess.DEVNULL)
    public = keys.read(settings.keys).public
    other = str(x25519.Identity.generate().to_public())
    (settings.recordings / NAME).parent.mkdir(parents=True)
    subprocess.run(
        ["age", "-r", other, "-r", public, "-o", settings.recordings / NAME],
        input=AUDIO,
        check=True,
    )
    with sealed_store.open(NAME) as audio:
        audio.seek(CHUNK + 5)
        assert audio.read() == AUDIO[CHUNK + 5 :]


def test_a_new_key_seals_and_the_old_one_opens(
    sealed_store: SealedStore, settings: Settings
) -> None:
    before = sealed_store.seal(BytesIO(AUDIO), NAME)
    public = keys.make(settings.keys)
    after = sealed_store.seal(BytesIO(AUDIO), f"{NAME}2")
    assert after.sealed_to == public != before.sealed_to
    assert after.audio_sha256 == before.audio_sha256
    for name, sealed in ((NAME, before), (f"{NAME}2", after)):
        sealed_store.check(name, sealed)
    (settings.keys / "recordings" / "0001.key").unlink()
    sealed_store.check(f"{NAME}2", after)
    with pytest.raises(WrongKey):
        sealed_store.check(NAME, before)
    with pytest.raises(WrongKey):
        sealed_store.open(NAME)


def test_a_recovery_key_opens_when_all_others_are_lost(settings: Settings) -> None:
    safe = x25519.Identity.generate()
    settings.spool.mkdir(parents=True)
    with_safe = settings.model_copy(update={"recovery_keys": (str(safe.to_public()),)})
    SealedStore(with_safe).seal(BytesIO(AUDIO), NAME)
    assert opened((settings.recordings / NAME).read_bytes(), safe).readall() == AUDIO


def test_nothing_is_sealed_without_a_key_that_opens_it(
    sealed_store: SealedStore, settings: Settings
) -> None:
    (settings.keys / "recordings" / "0001.key").unlink()
    with pytest.raises(keys.NoKey, match="callcenter keys make"):
        sealed_store.seal(BytesIO(AUDIO), NAME)
    assert not settings.recordings.exists()


@pytest.mark.parametrize("content", ["", "AGE-SECRET-KEY-1XXX\n", "age1abc\n", "\xff\xfe"])
def test_a_key_file_that_holds_no_key_is_named(settings: Settings, content: str) -> None:
    file = settings.keys / "recordings" / "0001.key"
    file.write_text(content)
    with pytest.raises(InvalidRequest, match=r"0001\.key must hold one key"):
        keys.read(settings.keys)


def test_a_key_that_others_may_read_is_refused(settings: Settings) -> None:
    file = settings.keys / "recordings" / "0001.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(InvalidRequest, match="chmod 600"):
        keys.read(settings.keys)


def test_a_recovery_key_that_is_none_is_named(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="'age1oops' is no public key"):
        keys.read(settings.keys, ("age1oops",))


def test_an_object_that_is_gone_or_another_is_noticed(
    sealed_store: SealedStore, settings: Settings
) -> None:
    sealed = sealed_store.seal(BytesIO(AUDIO), NAME)
    again = sealed_store.seal(BytesIO(AUDIO), f"{NAME}2")  # the same audio
    file = settings.recordings / NAME
    file.write_bytes((settings.recordings / f"{NAME}2").read_bytes())
    with pytest.raises(Altered):
        sealed_store.check(NAME, sealed)
    sealed_store.check(f"{NAME}2", again)
    sealed_store.remove(NAME)
    sealed_store.remove(NAME)
    with pytest.raises(ObjectMissing):
        sealed_store.check(NAME, sealed)
    with pytest.raises(ObjectMissing):
        sealed_store.open(NAME)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "2026", "", "a/../../secret"])
def test_a_name_never_leads_out_of_the_store(
    sealed_store: SealedStore, settings: Settings, name: str
) -> None:
    (settings.recordings / "2026").mkdir(parents=True)
    (settings.recordings.parent / "secret").write_bytes(encrypt(AUDIO, [OURS.to_public()]))
    with pytest.raises((ObjectStoreUnavailable, ObjectMissing)):
        sealed_store.open(name)


def test_a_killed_workers_half_upload_goes_with_the_next(
    sealed_store: SealedStore, settings: Settings
) -> None:
    file = settings.recordings / NAME
    file.parent.mkdir(parents=True)
    (file.parent / f"{file.name}#1").write_bytes(b"half")
    sealed_store.seal(BytesIO(AUDIO), NAME)
    assert [each.name for each in file.parent.iterdir()] == [file.name]
