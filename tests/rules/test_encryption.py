"""Values that are encrypted in the database."""

import hashlib
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.encryption import NONCE, Cipher, DecryptionFailed, derive_key


@given(st.binary(max_size=200), st.uuids())
def test_what_is_sealed_is_opened_for_its_owner_only(plain: bytes, owner: UUID) -> None:
    cipher = Cipher("test", ["word"])
    sealed = cipher.seal(owner, plain)
    assert cipher.open(owner, sealed) == plain
    for other in (cipher, Cipher("other", ["word"]), Cipher("test", ["words"])):
        with pytest.raises(DecryptionFailed):
            other.open(owner if other is not cipher else uuid4(), sealed)


@given(st.binary(max_size=60))
def test_what_was_not_sealed_here_is_unreadable(sealed: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        Cipher("test", ["word"]).open(uuid4(), sealed)


def test_a_new_word_seals_and_the_old_one_still_opens() -> None:
    owner = uuid4()
    before = Cipher("test", ["old"]).seal(owner, b"before")
    both = Cipher("test", ["new", "old"])
    assert both.open(owner, before) == b"before"
    after = both.seal(owner, b"after")
    assert Cipher("test", ["new"]).open(owner, after) == b"after"
    assert after[:NONCE] != both.seal(owner, b"after")[:NONCE]


def test_the_key_of_the_register_stays_what_it_was() -> None:
    # Records that were sealed must open for ever.
    assert derive_key("register", "word") == hashlib.sha256(b"callcenter register\0word").digest()
