"""The cover letter of a disclosure as PDF: a page in Kazakh, then a page in Russian.

Noto Sans has all letters of both; Kazakh Cyrillic needs no shaping (docs/decisions).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from html import escape

import pymupdf_fonts
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer

FONT, BOLD = "NotoSans", "NotoSans-Bold"
SHOWN = 40  # recordings that the letter lists; the manifest lists all


@dataclass(frozen=True)
class Cover:
    """What the letter says; `recordings` are (appeal, when, length, SHA-256)."""

    number: str
    on: date
    to_kk: str
    to_ru: str
    letter_number: str
    letter_date: date
    recordings: tuple[tuple[str, str, str, str], ...]
    fingerprint: str
    released_by: str


WORDS = {
    "kk": {
        "head": "«111» байланыс орталығы",
        "number": "№ {number}, {on:%d.%m.%Y}",
        "title": "Әңгіме жазбаларын беру туралы",
        "body": "{letter_date:%d.%m.%Y} № {letter_number} талабыңызға сәйкес және «111» байланыс "
        "орталығы қызметінің қағидаларының 6-тармағы негізінде кеңесшінің қоңырау шалған адаммен "
        "әңгімелерінің жазбалары жіберіледі. Жазбалар саны: {count}.",
        "item": "{place}. {appeal} өтініші, {when}, ұзақтығы {length}",
        "more": "Қалғандары тізімдемеде (manifest.json) көрсетілген.",
        "key": "Қолтаңба кілтінің SHA-256 бақылау сомасы:",
        "secret": "Жазбаларда дербес деректер бар. Оларды тек талапта көрсетілген мақсатта "
        "пайдалануға болады.",
        "signed": "Беруге рұқсат еткен: {released_by}",
        "sign": "Қолы ______________________",
    },
    "ru": {
        "head": "Контакт-центр «111»",
        "number": "№ {number} от {on:%d.%m.%Y}",
        "title": "О предоставлении записей разговоров",
        "body": "По Вашему требованию от {letter_date:%d.%m.%Y} № {letter_number} и на основании "
        "пункта 6 Правил деятельности контакт-центра «111» направляются записи разговоров "
        "консультанта с позвонившим лицом. Количество записей: {count}.",
        "item": "{place}. Обращение {appeal}, {when}, длительность {length}",
        "more": "Остальные указаны в описи (manifest.json).",
        "key": "Контрольная сумма SHA-256 ключа подписи:",
        "secret": "Записи содержат персональные данные. Их допускается использовать только в "
        "целях, указанных в требовании.",
        "signed": "Выдачу разрешил(а): {released_by}",
        "sign": "Подпись ______________________",
    },
}


def cover_letter(cover: Cover) -> bytes:
    """The letter as PDF: the same bytes for the same letter, whenever it is made."""
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
        title=f"{cover.number}",
        author="111",
        invariant=1,
    )
    story = [*_page(cover, "kk", cover.to_kk), PageBreak(), *_page(cover, "ru", cover.to_ru)]
    document.build(story)
    return target.getvalue()


def _page(cover: Cover, language: str, to: str) -> Iterator[Flowable]:
    words = WORDS[language]
    text = ParagraphStyle("text", fontName=FONT, fontSize=11, leading=16, spaceAfter=8)
    small = ParagraphStyle("small", parent=text, fontSize=8.5, leading=12, spaceAfter=4)
    right = ParagraphStyle("right", parent=text, leftIndent=80 * mm)
    bold = ParagraphStyle("bold", parent=text, fontName=BOLD, fontSize=13, leading=18)
    values = {
        "number": cover.number,
        "on": cover.on,
        "letter_number": cover.letter_number,
        "letter_date": cover.letter_date,
        "count": len(cover.recordings),
        "released_by": cover.released_by,
    }

    def say(name: str, style: ParagraphStyle = text, **more: object) -> Paragraph:
        return Paragraph(escape(words[name].format(**values, **more)), style)

    yield say("head", bold)
    yield say("number")
    yield Paragraph(escape(to), right)
    yield Spacer(1, 8 * mm)
    yield say("title", bold)
    yield say("body")
    for place, (appeal, when, length, sha256) in enumerate(cover.recordings[:SHOWN], start=1):
        yield say("item", place=place, appeal=appeal, when=when, length=length)
        yield Paragraph(f"SHA-256: {sha256}", small)
    if len(cover.recordings) > SHOWN:
        yield say("more")
    yield say("key")
    yield Paragraph(cover.fingerprint, small)
    yield say("secret")
    yield Spacer(1, 12 * mm)
    yield say("signed")
    yield say("sign")
