"""PDF of the receipt (талон), in the applicant's language."""

from collections.abc import Iterator
from html import escape

from reportlab.platypus import Flowable, Paragraph, Spacer

from callcenter.appeals.rules.receipt import Receipt
from callcenter.platform.core.pdf import BOLD, HEADING, PLAIN, as_pdf

HEAD = {"kk": "«111» байланыс орталығы", "ru": "Контакт-центр «111»"}


def render_receipt(receipt: Receipt) -> bytes:
    """Render a receipt on one page of A4. Blocks for some tens of milliseconds."""
    [(title, _), *_] = receipt.lines()
    return as_pdf(f"{title} {receipt.number}", story(receipt))


def story(receipt: Receipt) -> Iterator[Flowable]:
    [(title, _), *lines] = receipt.lines()
    yield Paragraph(HEAD[receipt.language], PLAIN)
    yield Spacer(1, 12)
    yield Paragraph(escape(title), HEADING)
    yield Spacer(1, 6)
    for label, value in lines:
        yield Paragraph(f'{escape(label)}: <font name="{BOLD}">{escape(value)}</font>', PLAIN)
