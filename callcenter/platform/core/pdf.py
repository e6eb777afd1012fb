"""PDF in Kazakh and Russian, in Noto Sans: it has all letters, which need no shaping."""

import io
from collections.abc import Iterable

import pymupdf_fonts
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, SimpleDocTemplate

FONT, BOLD = "NotoSans", "NotoSans-Bold"
PLAIN = ParagraphStyle("text", fontName=FONT, fontSize=11, leading=16, spaceAfter=8)
HEADING = ParagraphStyle("bold", parent=PLAIN, fontName=BOLD, fontSize=13, leading=18)


def as_pdf(title: str, story: Iterable[Flowable]) -> bytes:
    """A4 in Noto Sans (FONT, BOLD): the same bytes for the same story, whenever it is made.

    `story` is a generator, since paragraphs need the fonts.
    """
    for name, font in ((FONT, "notos"), (BOLD, "notosbo")):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, io.BytesIO(pymupdf_fonts.fontbuffers[font]())))
    target = io.BytesIO()
    document = SimpleDocTemplate(
        target,
        pagesize=A4,
        leftMargin=30 * mm,
        rightMargin=15 * mm,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        title=title,
        author="111",
        invariant=1,
    )
    document.build(list(story))
    return target.getvalue()
