"""The cover letter of a disclosure as PDF: a page in Kazakh, then a page in Russian."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from html import escape

from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, PageBreak, Paragraph, Spacer

from callcenter.web.printing import HEADING, PLAIN, as_pdf

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
    return as_pdf(cover.number, _pages(cover))


def _pages(cover: Cover) -> Iterator[Flowable]:
    yield from _page(cover, "kk", cover.to_kk)
    yield PageBreak()
    yield from _page(cover, "ru", cover.to_ru)


def _page(cover: Cover, language: str, to: str) -> Iterator[Flowable]:
    words = WORDS[language]
    small = ParagraphStyle("small", parent=PLAIN, fontSize=8.5, leading=12, spaceAfter=4)
    right = ParagraphStyle("right", parent=PLAIN, leftIndent=80 * mm)
    values = {
        "number": cover.number,
        "on": cover.on,
        "letter_number": cover.letter_number,
        "letter_date": cover.letter_date,
        "count": len(cover.recordings),
        "released_by": cover.released_by,
    }

    def say(name: str, style: ParagraphStyle = PLAIN, **more: object) -> Paragraph:
        return Paragraph(escape(words[name].format(**values, **more)), style)

    yield say("head", HEADING)
    yield say("number")
    yield Paragraph(escape(to), right)
    yield Spacer(1, 8 * mm)
    yield say("title", HEADING)
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
