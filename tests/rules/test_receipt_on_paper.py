"""The receipt on paper says what the receipt says, in letters that its fonts have."""

from datetime import UTC, date, datetime

import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import Paragraph

from callcenter.appeals.rules.receipt import Receipt
from callcenter.appeals.status.receipt_pdf import render_receipt, story
from callcenter.platform.core.pdf import BOLD, FONT


@pytest.mark.parametrize(
    ("language", "by"),
    [("kk", "Әбілқайырова Ғ. Ң., кеңесші"), ("ru", "Щёкина <Э> Ы., консультант")],
)
def test_the_receipt_on_paper_says_all_of_it(language: str, by: str) -> None:
    receipt = Receipt(
        number="2600000012",
        received_at=datetime(2026, 11, 24, 20, 30, tzinfo=UTC),
        registered_on=date(2026, 11, 25),
        accepted_by=by,
        due_on=date(2026, 12, 16),
        article="350-VI, 76(1)",
        code="0427",
        language=language,
    )
    made = render_receipt(receipt)
    assert made.startswith(b"%PDF-")
    assert made.count(b"/Type /Page\n") == 1
    said = [each.getPlainText() for each in story(receipt) if isinstance(each, Paragraph)]
    [(title, _), *lines] = receipt.lines()
    assert said[1:] == [title, *(f"{label}: {value}" for label, value in lines)]
    letters = {ord(letter) for letter in "".join(said)}
    for font in (FONT, BOLD):
        assert letters <= set(pdfmetrics.getFont(font).face.charToGlyph)
