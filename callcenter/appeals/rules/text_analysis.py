"""Text analysis for the search: tokens, Kazakh and Russian stems, trigrams.

Texts are often mixed, and many words could be of either language, so such a word has two stems.
Names are folded: ё and е, қ and к, Latin and Cyrillic spellings of a name are one. Kazakh is often
typed on a Russian keyboard: each word has a spelling in Russian letters too.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import snowballstemmer

_WORD = re.compile(r"[^\W_]+")
#: The letters that a Russian keyboard lacks, and what is typed in their place.
KAZAKH_LETTERS, RUSSIAN_LETTERS = "әғқңөұүһі", "агкноуухи"
_KAZAKH = frozenset(KAZAKH_LETTERS)
_RUSSIFIED = str.maketrans(KAZAKH_LETTERS, RUSSIAN_LETTERS)
WORD_MAX_LENGTH = 40  # letters of a word; what is longer is no word
WORD_MIN_LENGTH = 2
CACHE_SIZE = 50_000  # words whose stems are remembered: texts use the same ones

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
_ENDINGS = (_CASES, _POSSESSIVES, _PLURALS)
_RUSSIFIED_ENDINGS = tuple(
    tuple(dict.fromkeys(each.translate(_RUSSIFIED) for each in layer)) for layer in _ENDINGS
)
_HARDENED = {"б": "п", "ғ": "қ", "г": "к", "д": "т"}
_STEM = 3  # letters that are left at least
_FRONT_VOWELS, _VOWELS = "еиэ", "аеиоуыэюя"  # as Russian letters have them

# Nouns of two letters, from whose forms no ending is taken, with the endings that they have. Not
# those by which they would be other words: істе is "do", іске "to a suit" in Russian letters, ұлды
# has the stem of ұлт and ерді that of ерте.
_SHORT_NOUNS = {
    "үй ел ем": "ім ің іміз іңіз і ін іме іңе імен лер дер дің нің ді де ден нен ге мен",
    "ер": "ім ің іміз іңіз і ін іме іңе імен лер де ден ге мен",
    "іс": "ім ің іміз іңіз і ін іме іңе імен тер тің ті тен пен",
    "ұл": "ым ың ымыз ыңыз ы ын ыма ыңа ымен дар да дан ға мен",
    "ат": "ым ың ымыз ыңыз ы ын ыма ыңа ымен тар тың ты та тан қа пен",
}

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
    """The tokens of a text in lower case, ё as е, without too short and too long ones."""
    for word in _WORD.findall(text.lower().replace("ё", "е")):
        if WORD_MIN_LENGTH <= len(word) <= WORD_MAX_LENGTH:
            yield word


@lru_cache(CACHE_SIZE)
def stems(word: str) -> tuple[str, ...]:
    """The stems of a word, by its language, or by each that it could be of."""
    if not _KAZAKH.isdisjoint(word):
        return (kazakh_stem(word),)
    found = (_russian.stemWord(word), kazakh_stem(word), _stem_without_kazakh_letters(word))
    return tuple(dict.fromkeys(found))


@lru_cache(CACHE_SIZE)
def query_stems(word: str) -> tuple[str, ...]:
    """The stems that a word of a query stands for: of a short noun those of its forms."""
    return tuple(dict.fromkeys((*stems(word), *map(kazakh_stem, _short_forms(word)))))


@lru_cache(CACHE_SIZE)
def query_spellings(word: str) -> tuple[str, ...]:
    """The stems of `query_stems` as a Russian keyboard spells them."""
    forms = (form.translate(_RUSSIFIED) for form in _short_forms(word) if _is_spelt_apart(form))
    return tuple(dict.fromkeys((*russified_stems(word), *forms)))


def kazakh_stem(word: str) -> str:
    """The word without Kazakh endings of case, possession and plural.

    Light: it does not know words, so it may take a little too much. What is searched and what is
    asked for go through it alike.
    """
    return _strip(word, _ENDINGS)


@lru_cache(CACHE_SIZE)
def russified_stems(word: str) -> tuple[str, ...]:
    """The Kazakh stems of a word as a Russian keyboard spells them: әкесі and акеси are аке."""
    return tuple(
        dict.fromkeys(
            (
                kazakh_stem(word).translate(_RUSSIFIED),
                _strip(word.translate(_RUSSIFIED), _RUSSIFIED_ENDINGS),
            )
        )
    )


def _stem_without_kazakh_letters(word: str) -> str:
    """The stem of Kazakh typed on a Russian keyboard: акеси is аке, балага is бала.

    By vowel harmony, or Russian words would be cut short: почти, картина.
    """
    stem = _strip(word, _RUSSIFIED_ENDINGS)
    of_stem, of_ending = (
        [letter in _FRONT_VOWELS for letter in part if letter in _VOWELS]
        for part in (stem, word[len(stem) :])
    )
    is_front = of_stem[-1:] == [True]
    fits = all(vowel is is_front for vowel in of_ending)
    return stem if fits and (is_front or len(stem) > _STEM) else kazakh_stem(word)


def _short_forms(word: str) -> tuple[str, ...]:
    """All forms of the noun of two letters that a word is a form of; else none."""
    spelt = (word, *stems(word), *russified_stems(word))
    return next((_FORMS[each] for each in spelt if each in _FORMS), ())


def _is_spelt_apart(form: str) -> bool:
    """Whether no other word is spelt like this form: үйді would be уйт, as уйти is."""
    return kazakh_stem(form) == form


def _strip(word: str, layers: tuple[tuple[str, ...], ...]) -> str:
    for layer in layers:
        ending = next((each for each in layer if word.endswith(each)), None)
        if ending is not None and len(word) - len(ending) >= _STEM:
            word = word.removesuffix(ending)
    return word[:-1] + _HARDENED.get(word[-1], word[-1])


def _forms_of_short_nouns() -> dict[str, tuple[str, ...]]:
    forms: dict[str, tuple[str, ...]] = {}
    for nouns, endings in _SHORT_NOUNS.items():
        for noun in nouns.split():
            of_noun = (noun, *(noun + ending for ending in endings.split()))
            spelt = (form.translate(_RUSSIFIED) for form in of_noun if _is_spelt_apart(form))
            forms |= dict.fromkeys((*spelt, *of_noun), of_noun)
    return forms


_FORMS = _forms_of_short_nouns()


@lru_cache(CACHE_SIZE)
def fold_name(name: str) -> str:
    """The common form of spellings of a name: Қайрат, Кайрат and Qairat are kairat."""
    latin = name.lower()
    for spelling, common in _LATIN:
        latin = latin.replace(spelling, common)
    return _DOUBLED.sub(r"\1", "".join(_FOLDED.get(letter, letter) for letter in latin))


def grams(word: str) -> list[str]:
    """Trigrams of a word with its edges: similar words share many."""
    padded = f" {word} "
    return sorted({padded[at : at + 3] for at in range(len(padded) - 2)})
