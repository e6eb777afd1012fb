"""Words of appeals as they are searched: Kazakh and Russian forms of one word meet in its stem.

Texts are often mixed, and many words could be of either language, so such a word has two stems.
Names are folded: ё and е, қ and к, Latin and Cyrillic spellings of a name are one.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import snowballstemmer

_WORD = re.compile(r"[^\W_]+")
_KAZAKH = frozenset("әғқңөұүһі")
LONGEST = 40  # letters of a word; what is longer is no word
SHORTEST = 2
CACHED = 50_000  # words whose stems are remembered: texts use the same ones

_russian = snowballstemmer.stemmer("russian")

# Longest first within a layer; a word has at most one ending of each: case, possessive, plural.
# fmt: off
_CASES = (
    "ымен", "імен", "ның", "нің", "дың", "дің", "тың", "тің", "нан", "нен", "дан", "ден", "тан",
    "тен", "нда", "нде", "мен", "бен", "пен", "ға", "ге", "қа", "ке", "на", "не", "ны", "ні", "ды",
    "ді", "ты", "ті", "да", "де", "та", "те",
)
_POSSESSIVES = (
    "ларыңыз", "леріңіз", "ыңыз", "іңіз", "ымыз", "іміз", "ңыз", "ңіз", "мыз", "міз", "сын", "сін",
    "сы", "сі", "ын", "ін", "ым", "ім", "ың", "ің", "ы", "і",
)
_PLURALS = ("лар", "лер", "дар", "дер", "тар", "тер")
# fmt: on
_HARDENED = {"б": "п", "ғ": "қ", "г": "к", "д": "т"}
_STEM = 3  # letters that are left at least

# What spellings of names have in common, in Latin letters. Digraphs come before their letters.
_FOLDED = {
    "щ": "sh", "ш": "sh", "ч": "ch", "ж": "zh", "ю": "iu", "я": "ia", "ё": "e", "э": "e",
    "ц": "ts", "х": "h", "һ": "h", "қ": "k", "к": "k", "ғ": "g", "г": "g", "ң": "n", "н": "n",
    "ә": "a", "а": "a", "ө": "o", "о": "o", "ұ": "u", "ү": "u", "у": "u", "і": "i", "и": "i",
    "й": "i", "ы": "i", "б": "b", "в": "v", "д": "d", "е": "e", "з": "z", "л": "l", "м": "m",
    "п": "p", "р": "r", "с": "s", "т": "t", "ф": "f", "ъ": "", "ь": "",
}  # fmt: skip
_LATIN = (
    ("shch", "sh"), ("kh", "h"), ("dzh", "zh"), ("gh", "g"), ("yu", "iu"), ("ya", "ia"),
    ("ye", "e"), ("q", "k"), ("w", "u"), ("y", "i"), ("j", "zh"), ("x", "ks"), ("á", "a"),
    ("ä", "a"), ("ö", "o"), ("ü", "u"), ("ñ", "n"), ("ğ", "g"), ("ş", "sh"), ("ı", "i"),
)  # fmt: skip
_DOUBLED = re.compile(r"(.)\1+")


def words(text: str) -> Iterator[str]:
    """The words of a text in small letters, ё as е; not what is too short or too long."""
    for word in _WORD.findall(text.lower().replace("ё", "е")):
        if SHORTEST <= len(word) <= LONGEST:
            yield word


@lru_cache(CACHED)
def stems(word: str) -> tuple[str, ...]:
    """The stem, or two where the word could be Kazakh or Russian."""
    if not _KAZAKH.isdisjoint(word):
        return (kazakh_stem(word),)
    return tuple(dict.fromkeys((_russian.stemWord(word), kazakh_stem(word))))


def kazakh_stem(word: str) -> str:
    """The word without endings of case, possession and plural, its last letter as it stands alone.

    Light: it does not know words, so it may take a little too much. What is searched and what is
    asked for go through it alike.
    """
    for layer in (_CASES, _POSSESSIVES, _PLURALS):
        ending = next((each for each in layer if word.endswith(each)), None)
        if ending is not None and len(word) - len(ending) >= _STEM:
            word = word.removesuffix(ending)
    return word[:-1] + _HARDENED.get(word[-1], word[-1])


@lru_cache(CACHED)
def folded(name: str) -> str:
    """What all spellings of a name have in common: Қайрат, Кайрат and Qairat are kairat."""
    latin = name.lower()
    for spelling, common in _LATIN:
        latin = latin.replace(spelling, common)
    return _DOUBLED.sub(r"\1", "".join(_FOLDED.get(letter, letter) for letter in latin))


def grams(word: str) -> list[str]:
    """Pieces of three letters, with the edges: words that share many differ by a slip."""
    padded = f" {word} "
    return sorted({padded[at : at + 3] for at in range(len(padded) - 2)})
