"""Languages of the pages: messages from gettext files, dates and numbers by Babel.

Messages are written in English in code and templates, and translated in `locale/kk.po` and
`locale/ru.po`, which are read at start: editing a translation needs no tool and no build.
"""

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from babel import Locale
from babel.dates import format_datetime, format_time, get_day_names, get_month_names
from babel.messages.pofile import PoFileError, read_po
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from callcenter.platform.core.errors import N_, OperationFailed
from callcenter.platform.core.timezone import ZONE

LANGUAGES = {"kk": "Қазақша", "ru": "Русский", "en": "English"}
DEFAULT = "kk"  # the state language
LOCALE_FOLDER = Path(__file__).parent / "locale"


class Translator:
    """Translations and formats of one language. Messages come back escaped, for HTML."""

    def __init__(self, language: str) -> None:
        """Raise OperationFailed when the file of the language is missing or unreadable."""
        self.language = language
        # English as the rest of the world outside America writes it: 24 hours, day before month.
        self._locale = Locale.parse("en_GB" if language == "en" else language)
        self._messages = {} if language == "en" else _read(LOCALE_FOLDER / f"{language}.po")

    def __call__(self, message: str, **values: object) -> Markup:
        """The message in this language; `%(name)s` in it is replaced by that value, escaped."""
        text = escape(self._messages.get(message, message))
        return text % values if values else text

    def plain(self, message: str) -> str:
        """The message unescaped, for text that is not HTML."""
        return self._messages.get(message, message)

    def moment(self, at: datetime) -> str:
        """Date and time to the second, in Asia/Almaty, in digits as people here write days."""
        return format_datetime(at, "dd.MM.yyyy, HH:mm:ss", tzinfo=ZONE, locale=self._locale)

    def month(self, number: int) -> str:
        """The name of a month, 1 to 12, as it stands alone."""
        return str(get_month_names("wide", "stand-alone", self._locale)[number])

    def weekday(self, number: int) -> str:
        """The short name of a day of the week; Monday is 0."""
        return str(get_day_names("abbreviated", "stand-alone", self._locale)[number])

    def clock(self, at: datetime) -> str:
        """Only the time to the second, in Asia/Almaty."""
        return format_time(at, "HH:mm:ss", tzinfo=ZONE, locale=self._locale)

    def size(self, count: int) -> Markup:
        """A number of bytes as kilobytes or megabytes, rounded up."""
        if count < 1_000_000:
            return self(N_("%(count)s KB"), count=-(-count // 1000))
        tenths = format_decimal(round(count / 1e6, 1), locale=self._locale)
        return self(N_("%(count)s MB"), count=tenths)


def length(lasted: timedelta) -> str:
    """A length as minutes and seconds, or hours too: 0:47, 12:03, 1:02:10."""
    minutes, seconds = divmod(int(lasted.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def choose_language(remembered: str | None, accepted: str) -> str:
    """The language of a page: the chosen one, else the browser's, else Kazakh.

    `accepted` is the header Accept-Language (RFC 9110, 12.5.4), whatever is in it. Never raises.
    """
    if remembered in LANGUAGES:
        return remembered
    wishes: list[tuple[float, str]] = []
    for part in accepted[:500].split(","):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.strip().lower().partition("-")[0]
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and quality > 0:
            wishes.append((quality, language))
    # `max` keeps the first of equals, which is the order of the header.
    return max(wishes, key=lambda wish: wish[0], default=(0, DEFAULT))[1]


@cache
def _read(file: Path) -> dict[str, str]:
    """Read the translations of a file, once in a process: it has thousands of lines."""
    try:
        with file.open("rb") as opened:
            catalog = read_po(opened, locale=file.stem, abort_invalid=True)
    except (OSError, UnicodeError, PoFileError) as exc:
        raise OperationFailed(f"cannot read the translations into {file.stem}") from exc
    return {
        str(message.id): str(message.string) for message in catalog if message.id and message.string
    }
