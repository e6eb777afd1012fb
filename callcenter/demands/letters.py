"""Letters to the authority as PDF, in Kazakh and Russian: cover letter and refusal."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from html import escape

from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, PageBreak, Paragraph, Spacer

from callcenter.demands.rules.authorities import authority_on
from callcenter.demands.rules.states import RefusalGround
from callcenter.platform.core.pdf import HEADING, PLAIN, as_pdf

RIGHT = ParagraphStyle("right", parent=PLAIN, leftIndent=80 * mm)
SHOWN = 40  # recordings that the letter lists; the manifest lists all


@dataclass(frozen=True)
class CoverLetter:
    """The content of a cover letter; `recordings` are (appeal, when, length, SHA-256)."""

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
        "item": "{place}. {appeal} жолданымы, {when}, ұзақтығы {length}",
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


@dataclass(frozen=True)
class RefusalLetter:
    """The content of a letter that refuses a demand."""

    number: str
    on: date
    to_kk: str
    to_ru: str
    letter_number: str
    letter_date: date
    ground: RefusalGround
    refused_by: str


REFUSING = {
    "kk": {
        "title": "Әңгіме жазбасын беруден бас тарту туралы",
        "body": "{letter_date:%d.%m.%Y} № {letter_number} талабыңыз қаралды. Жазба берілмейді. "
        "Негізі: {ground}",
        "again": "Негіз жойылса, талапты қайта жіберуге болады.",
        "signed": "Бас тарту туралы шешім қабылдаған: {refused_by}",
    },
    "ru": {
        "title": "Об отказе в предоставлении записи разговора",
        "body": "Ваше требование от {letter_date:%d.%m.%Y} № {letter_number} рассмотрено. Запись "
        "не предоставляется. Основание: {ground}",
        "again": "После устранения основания требование может быть направлено вновь.",
        "signed": "Решение об отказе принял(а): {refused_by}",
    },
}
GROUNDS = {
    "kk": {
        RefusalGround.NOT_AUTHORISED: (
            "«111» байланыс орталығы қызметінің қағидаларының 6-тармағына "
            "сәйкес жазбалар ақпараттандыру саласындағы уәкілетті органның жазбаша талабы бойынша "
            "ғана беріледі, ал талап ол органнан келген жоқ. {on:%d.%m.%Y} жағдайы бойынша ол — "
            "{body} ({role})."
        ),
        RefusalGround.NO_CONVERSATION: (
            "талапта көрсетілген мәліметтер бойынша байланыс орталығында "
            "мұндай әңгіменің жазбасы жоқ."
        ),
        RefusalGround.NOT_OF_CONSULTANT: (
            "талап етілген жазба кеңесшінің қоңырау шалған адаммен әңгімесі "
            "емес; Қағидалардың 6-тармағы тек осындай әңгімелердің жазбаларын беруді көздейді."
        ),
    },
    "ru": {
        RefusalGround.NOT_AUTHORISED: (
            "согласно пункту 6 Правил деятельности контакт-центра «111» записи предоставляются "
            "только по письменному требованию уполномоченного органа в сфере информатизации, а "
            "требование поступило не от него. На {on:%d.%m.%Y} это {body} ({role})."
        ),
        RefusalGround.NO_CONVERSATION: (
            "по указанным в требовании сведениям записи такого разговора в контакт-центре нет."
        ),
        RefusalGround.NOT_OF_CONSULTANT: (
            "истребуемая запись не является разговором консультанта с "
            "позвонившим лицом; пункт 6 Правил предусматривает предоставление записей только таких "
            "разговоров."
        ),
    },
}


def ground_of(refusal: RefusalLetter, language: str) -> str:
    """The ground in the words of the letter, with the authorised body of its date."""
    body = authority_on(refusal.on)
    return GROUNDS[language][refusal.ground].format(
        on=refusal.on,
        body=body.kk if language == "kk" else body.ru,
        role=body.role_kk if language == "kk" else body.role_ru,
    )


def refusal_letter(refusal: RefusalLetter) -> bytes:
    """The refusal as PDF: the same bytes for the same refusal, whenever it is made."""
    return as_pdf(refusal.number, _refusal_pages(refusal))


def _refusal_pages(refusal: RefusalLetter) -> Iterator[Flowable]:
    yield from _refusal_page(refusal, "kk", refusal.to_kk)
    yield PageBreak()
    yield from _refusal_page(refusal, "ru", refusal.to_ru)


def _refusal_page(refusal: RefusalLetter, language: str, to: str) -> Iterator[Flowable]:
    words = WORDS[language] | REFUSING[language]
    values = asdict(refusal) | {"ground": ground_of(refusal, language)}

    def say(name: str, style: ParagraphStyle = PLAIN) -> Paragraph:
        return Paragraph(escape(words[name].format(**values)), style)

    yield say("head", HEADING)
    yield say("number")
    yield Paragraph(escape(to), RIGHT)
    yield Spacer(1, 8 * mm)
    yield say("title", HEADING)
    yield say("body")
    yield say("again")
    yield Spacer(1, 12 * mm)
    yield say("signed")
    yield say("sign")


def cover_letter(cover: CoverLetter) -> bytes:
    """The cover letter as PDF: the same bytes for the same letter, whenever it is made."""
    return as_pdf(cover.number, _pages(cover))


def _pages(cover: CoverLetter) -> Iterator[Flowable]:
    yield from _page(cover, "kk", cover.to_kk)
    yield PageBreak()
    yield from _page(cover, "ru", cover.to_ru)


def _page(cover: CoverLetter, language: str, to: str) -> Iterator[Flowable]:
    words = WORDS[language]
    small = ParagraphStyle("small", parent=PLAIN, fontSize=8.5, leading=12, spaceAfter=4)
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
    yield Paragraph(escape(to), RIGHT)
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
