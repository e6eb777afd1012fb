"""Words that are names by their look, and words that only look so.

A sentence begins with a capital letter anyhow, so a name is recognised there by its ending or from
a list: of given names that are no other words in Kazakh or Russian, also not when they are folded
(Анна is as Ана, "mother"; Жанна as жаңа, "new"). In capitals short words are mostly abbreviations,
so a short name is recognised there from a list too.
"""

import re
from functools import cache, lru_cache

from callcenter.appeals.rules.text_analysis import fold_name, stems

_ABBREVIATION = 4  # letters of a long one; it has one vowel: ЗАГС, РОВД
_VOWELS = frozenset("аеёиоуыэюяәөұүіaeiouy")
_STEM = 5  # letters of a folded stem that no other word has
#: Russian cases, whose stems may lose more than the ending: Ивана, Ольгу.
_CASES_OF_MEN, _CASES_OF_WOMEN = (
    ("", "а", "у", "ом", "е"),
    ("а", "я", "ы", "и", "у", "ю", "е", "ой", "ей"),
)
_CASE = r"(?:а|у|ом|ым|е|[тдн][ыі]ң?|[тдн][ае]н|[тд][ае]|[қғкг][ае]|[мпб]ен)?"
#: Surnames, and compound given names.
_ENDINGS = re.compile(
    r"\w{3,}(?:[оеё]в[ау]?|[оеё]в(?:т[ыі]ң?|қа|тан|пен)|енко"
    rf"|(?:бек|гүл|гуль|жан|нұр|нур|хан|мұрат|мурат){_CASE})"
)
_OTHER_WORDS = """
братьев внимание вопросов голова голову горожане готов готова документов здоров здорова какова
корова королева месяцев никогда нельзя основа основу очень помогите случаев срочно такова часов
безусловна виновна духовна душевна невиновна плачевна уголовна условна көмектесіңіз шұғыл
"""
_POLITE = re.compile(r"вас|вам|вами|ваш\w{0,4}|сіз\w{0,6}")  # Вас, Сізден: in letters
_GIVEN_NAMES = """
айбек айгерим айгүл айдар айдос айжан айнур айша айым акмарал алибек алина алишер алмас
алтынай амина асель асем асхат аяулым ботагоз гаухар гульмира гульнар гульнара дамир данияр
дастан диана дина динара ерболат ержан ерлан жазира жанар жандос жанибек зарина зухра кайрат камила
канат карина лейла мадина малика марат меруерт назерке назира нурлан олжас раушан ринат руслан
рустам сабина сакен самат санжар сауле серик сымбат талгат тимур толганай томирис фатима шолпан
эльвира эльмира
александр александра алексей алена анастасия анатолий андрей антон артем валентина василий виктор
виктория владимир вова вячеслав галина глеб григорий денис дима дмитрий евгений евгения егор
екатерина елена иван игорь ирина кирилл коля константин ксения лариса лена людмила максим маргарита
марина мария маша миша михаил настя наталья наташа никита николай нина оксана олег ольга павел
петр полина саша светлана сергей софья станислав степан тамара татьяна федор юлия юрий яна
"""
#: In capitals alone: small, some are other words.
_SHORT_NAMES = """
али аня ару аян ева зоя ира ким лев лия марк мия нур оля пак рая тая тен цой шах юра
"""
_REMEMBERED = 10_000  # words: texts use the same ones


def is_no_name(word: str) -> bool:
    """Whether a word, in small letters here, is no name though it looks like one."""
    return word in _other_words() or _POLITE.fullmatch(word) is not None


def is_name(word: str, *, begins_sentence: bool) -> bool:
    """Whether a word with a capital letter, or in capitals, is somebody's name by its look."""
    said = word.lower()
    is_given = not _given_names().isdisjoint(name_spellings(said))
    if len(word) > 1 and word.isupper():
        vowels = sum(letter in _VOWELS for letter in said)
        is_long = len(word) > _ABBREVIATION or (len(word) == _ABBREVIATION and vowels > 1)
        return is_long or is_given or not _short_names().isdisjoint(name_spellings(said))
    return not begins_sentence or is_given or has_surname_ending(said)


def has_surname_ending(word: str) -> bool:
    """Whether a word, in small letters here, ends as surnames do."""
    return _ENDINGS.fullmatch(word) is not None


@lru_cache(_REMEMBERED)
def name_spellings(word: str) -> frozenset[str]:
    """The forms of a word that people take for the same name."""
    return frozenset(fold_name(each) for each in (word, *stems(word)))


@cache
def _other_words() -> frozenset[str]:
    return frozenset(_OTHER_WORDS.split())


@cache
def _short_names() -> frozenset[str]:
    return frozenset(map(fold_name, _SHORT_NAMES.split()))


@cache
def _given_names() -> frozenset[str]:
    """Given names as `name_spellings` has them; short stems would be those of other words."""
    names = _GIVEN_NAMES.split()
    forms = (
        name.rstrip("ая") + case
        for name in names
        for case in (_CASES_OF_WOMEN if name.endswith(("а", "я")) else _CASES_OF_MEN)
    )
    stemmed = {fold_name(stem) for name in names for stem in stems(name)}
    return frozenset({*map(fold_name, forms), *(each for each in stemmed if len(each) >= _STEM)})
