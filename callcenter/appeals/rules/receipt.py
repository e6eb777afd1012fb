"""The receipt (талон) of a registered appeal: APPC, 64(2).

Number, date and time, and name and position of who accepted it; and the code that, with the
number, lets the applicant learn its status (R13). In the applicant's language.
"""

from dataclasses import dataclass
from datetime import date, datetime

from babel import Locale
from babel.dates import format_date

from callcenter.platform.core.timezone import ZONE

_SMS = {
    "kk": "Жолданым № {number}. Қабылданды: {received}. Тіркелді: {registered}. Код: {code}. "
    "{due}Қабылдаған: {by}.",
    "ru": "Обращение № {number}. Принято {received}. Зарегистрировано {registered}. Код: {code}. "
    "{due}Принял(а): {by}.",
}
_SMS_DUE = {"kk": "Жауап мерзімі: {due}. ", "ru": "Ответ до {due}. "}
_SPOKEN = {
    "kk": "Жолданымыңыз {received} келіп түсті және {registered} тіркелді. "
    "Тіркеу нөмірі: {number}. Қайталаймыз: {number}. Қаралу барысын білуге арналған код: {code}. "
    "Жолданымды қабылдаған: {by}.",
    "ru": "Ваше обращение поступило {received} и зарегистрировано {registered}. "
    "Регистрационный номер: {number}. Повторяем: {number}. Код, чтобы узнать о ходе "
    "рассмотрения: {code}. Обращение принял(а): {by}.",
}
_SPOKEN_DUE = {
    "kk": " Жауап берудің соңғы күні: {due}.",
    "ru": " Последний день срока ответа: {due}.",
}
_LABELS = {
    "kk": (
        "Жолданымның тіркелгені туралы талон",
        "Тіркеу нөмірі",
        "Келіп түскен күні мен уақыты",
        "Тіркелген күні",
        "Жолданымды қабылдаған",
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
    """A receipt. `accepted_by`: surname, initials and position; `language`: kk or ru."""

    number: str
    received_at: datetime
    registered_on: date
    accepted_by: str
    due_on: date | None  #: None: it is answered, and no term runs
    article: str
    code: str
    language: str

    def sms(self) -> str:
        """The text of an SMS, which names only the person who accepted the appeal."""
        due = _SMS_DUE[self.language].format(due=_day(self.due_on)) if self.due_on else ""
        return _SMS[self.language].format(
            number=self.number,
            received=f"{self.received_at.astimezone(ZONE):%d.%m.%Y %H:%M}",
            registered=_day(self.registered_on),
            code=self.code,
            due=due,
            by=self.accepted_by,
        )

    def spoken(self) -> str:
        """The text to be read out: days in words, digits one by one."""
        locale = Locale.parse(self.language)
        local = self.received_at.astimezone(ZONE)
        spoken = _SPOKEN[self.language].format(
            received=f"{format_date(local.date(), 'long', locale)} {local:%H:%M}",
            registered=format_date(self.registered_on, "long", locale),
            number=", ".join(" ".join(group) for group in group_digits(self.number).split()),
            code=" ".join(self.code),
            by=self.accepted_by,
        )
        if self.due_on is None:
            return spoken
        due = format_date(self.due_on, "long", locale)
        return spoken + _SPOKEN_DUE[self.language].format(due=due)

    def lines(self) -> list[tuple[str, str]]:
        """The title, with no value, and the labelled lines of the printed receipt."""
        title, *labels = _LABELS[self.language]
        local = self.received_at.astimezone(ZONE)
        values = (
            group_digits(self.number),
            f"{local:%d.%m.%Y %H:%M}",
            _day(self.registered_on),
            self.accepted_by,
            f"{_day(self.due_on)} ({self.article})" if self.due_on else "",
            self.code,
        )
        filled = [line for line in zip(labels, values, strict=True) if line[1]]
        return [(title, ""), *filled]


def group_digits(number: str) -> str:
    """A number in groups: 26 0000 1234, or 26 100 000 001."""
    size = 4 if len(number) == 10 else 3
    return " ".join([number[:2], *(number[at : at + size] for at in range(2, len(number), size))])


def _day(day: date) -> str:
    return f"{day:%d.%m.%Y}"
