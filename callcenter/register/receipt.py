"""The receipt (талон) of a registered appeal: APPC, 64(2).

Number, date and time, and name and position of who accepted it; and the code that, with the
number, lets the applicant learn its status (R13). In the applicant's language.
"""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Almaty")

_SMS = {
    "kk": "Өтініш № {number}. Тіркелді: {registered}. Код: {code}. "
    "Жауап мерзімі: {due}. Қабылдаған: {by}.",
    "ru": "Обращение № {number}. Зарегистрировано {registered}. Код: {code}. "
    "Ответ до {due}. Принял(а): {by}.",
}
_LABELS = {
    "kk": (
        "Өтініштің тіркелгені туралы талон",
        "Тіркеу нөмірі",
        "Келіп түскен күні мен уақыты",
        "Тіркелген күні",
        "Өтінішті қабылдаған",
        "Жауап беру мерзімі",
        "Қаралу барысын білуге арналған код",
    ),
    "ru": (
        "Талон о регистрации обращения",
        "Регистрационный номер",
        "Дата и время поступления",
        "Дата регистрации",
        "Обращение принял(а)",
        "Срок ответа",
        "Код, чтобы узнать о ходе рассмотрения",
    ),
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What it says. `accepted_by`: surname, initials and position; `language`: kk or ru."""

    number: str
    received_at: datetime
    registered_on: date
    accepted_by: str
    due_on: date
    article: str
    code: str
    language: str

    def sms(self) -> str:
        """One text that names nobody but who accepted it."""
        return _SMS[self.language].format(
            number=self.number,
            registered=_day(self.registered_on),
            code=self.code,
            due=_day(self.due_on),
            by=self.accepted_by,
        )

    def lines(self) -> list[tuple[str, str]]:
        """The title, with no value, and what stands below it: for a page to print."""
        title, *labels = _LABELS[self.language]
        local = self.received_at.astimezone(ZONE)
        values = (
            spaced(self.number),
            f"{local:%d.%m.%Y %H:%M}",
            _day(self.registered_on),
            self.accepted_by,
            f"{_day(self.due_on)} ({self.article})",
            self.code,
        )
        return [(title, ""), *zip(labels, values, strict=True)]


def spaced(number: str) -> str:
    """Ten digits as they are read out and copied: 26 0000 1234."""
    return f"{number[:2]} {number[2:6]} {number[6:]}"


def _day(day: date) -> str:
    return f"{day:%d.%m.%Y}"
