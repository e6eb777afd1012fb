"""Rules of the portal: forms, receipts, and who can open what."""

import unicodedata
from itertools import islice
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from callcenter.appeals.rules.number import make, split
from callcenter.intake.drivers.portal.opening import PORTAL, open_message
from callcenter.intake.rules import messages
from callcenter.platform.core.encryption import DecryptionFailed
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.portal.receipt_words import KAZAKH, RUSSIAN
from callcenter.portal.rules import (
    TEXT_LIMIT,
    PortalForm,
    PortalMessage,
    ReceiptSecret,
    read_receipt,
)
from callcenter.portal.sealing import ReceiptKey, open_copy, seal_copy, seal_message
from callcenter.recordings.sealing import keys

FORMS = st.sampled_from(["NFC", "NFD"])  # of Unicode
MESSAGE = PortalMessage("ru", "Меня бьют в школе", is_urgent=False)
NUMBER = make(26, 1)
#: As who has no Kazakh letters types them.
RUSSIAN_KEYBOARD = str.maketrans("ёәғқңөұүһі", "еагкноуухи")


def test_no_two_words_of_receipts_are_typed_alike() -> None:
    assert (len(KAZAKH), len(RUSSIAN)) == (256, 256)
    typed = {word.translate(RUSSIAN_KEYBOARD) for word in (*KAZAKH, *RUSSIAN)}
    assert len(typed) == 512


@given(st.binary(min_size=5, max_size=5), st.sampled_from(["kk", "ru"]), st.booleans(), FORMS)
def test_a_receipt_is_read_however_it_is_typed(
    code: bytes, language: str, folded: bool, form: Literal["NFC", "NFD"]
) -> None:
    words = " ".join(ReceiptSecret(code).words(language))
    if folded:
        words = words.translate(RUSSIAN_KEYBOARD).upper().replace(" ", ", ")
    words = unicodedata.normalize(form, words)
    assert read_receipt(f" {NUMBER[:2]} {NUMBER[2:]} ", words) == (NUMBER, ReceiptSecret(code))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (NUMBER, "арбуз арбуз арбуз арбуз"),
        (NUMBER, "арбуз " * 6),
        (NUMBER, "арбуз арбуз арбуз арбуз арбузик"),
        ("2600000011", "арбуз " * 5),
        ("", ""),
    ],
)
def test_what_can_be_no_receipt_is_refused(number: str, words: str) -> None:
    with pytest.raises(InvalidRequest):
        read_receipt(number, words)


def test_a_form_is_the_same_whenever_it_is_sent() -> None:
    form = PortalForm.new()
    again = PortalForm.of(form.token)
    assert (again.id, again.secret) == (form.id, form.secret)
    other = PortalMessage("ru", MESSAGE.text, is_urgent=True)
    ids = [list(islice(form.message_ids(each), 3)) for each in (MESSAGE, other)]
    assert list(islice(again.message_ids(MESSAGE), 3)) == ids[0]
    assert len({*ids[0], *ids[1]}) == 6
    for token in ("", "x" * 32, form.token[1:], form.token.upper() + "A"):
        assert PortalForm.of(token).id != form.id


def test_intake_takes_the_longest_message_of_the_portal() -> None:
    assert TEXT_LIMIT <= messages.TEXT_LIMIT


@pytest.mark.parametrize("year", [0, 26, 99])
@pytest.mark.parametrize("sequence", [1, 9_999_999, 10_000_000])
def test_year_and_sequence_of_a_number_make_it(year: int, sequence: int) -> None:
    assert split(make(year, sequence)) == (year, sequence)


def test_a_message_is_opened_with_its_own_key_and_id(tmp_path: Path) -> None:
    ours, others, message_id = tmp_path / "ours", tmp_path / "others", uuid4()
    settings = Settings(_env_file=None, portal_key=keys.make(ours, PORTAL))
    sealed = seal_message(settings, message_id, MESSAGE)
    keys.make(others, PORTAL)
    assert open_message(ours, message_id, sealed) == MESSAGE
    for folder, identity, bad in (
        (others, message_id, sealed),
        (ours, uuid4(), sealed),
        (ours, message_id, sealed[:-1]),
        (ours, message_id, b"{}"),
    ):
        with pytest.raises(DecryptionFailed):
            open_message(folder, identity, bad)


def test_a_copy_is_opened_with_number_and_secret_alone() -> None:
    message_id, secret = uuid4(), PortalForm.new().secret
    copy = seal_copy(message_id, MESSAGE, ReceiptKey.derive(NUMBER, secret))
    right = ReceiptKey.derive(NUMBER, secret)
    assert open_copy(message_id, copy.locked, copy.sealed, right) == MESSAGE
    for number, other in ((make(26, 2), secret), (NUMBER, PortalForm.new().secret)):
        wrong = ReceiptKey.derive(number, other)
        assert wrong.proof != right.proof
        with pytest.raises(DecryptionFailed):
            open_copy(message_id, copy.locked, copy.sealed, wrong)


def test_the_portal_shares_no_host_name_with_staff() -> None:
    staff = "https://111.example.kz"
    with pytest.raises(ValidationError, match="host name of its own"):
        Settings(_env_file=None, public_url=staff, portal_url="https://111.Example.kz:8443")
    apart = Settings(_env_file=None, public_url=staff, portal_url="https://jazba.example.kz")
    assert apart.portal_host == "jazba.example.kz"
