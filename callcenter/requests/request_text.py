"""The text of a request in the language of the body: the one place that makes it (R23)."""

from datetime import date, datetime

from callcenter.appeals.labels import RecordLabels
from callcenter.appeals.rules.fields import Content
from callcenter.bodies.rules.directory import Body
from callcenter.platform.core.errors import N_
from callcenter.platform.core.timezone import ZONE
from callcenter.requests.rules.composition import RequestDraft, RequestPackage


def compose(
    say: RecordLabels,
    body: Body,
    number: str,
    received_at: datetime,
    draft: RequestDraft,
    content: Content,
    today: date,
) -> RequestPackage:
    """The package of a draft: body, number of the appeal, own words, chosen fields, files."""
    words = say.words
    day = received_at.astimezone(ZONE)
    head = words.plain(N_("Request on appeal № %(number)s of %(day)s"))
    lines = [
        body.name_on(today).in_language(words.language),
        "",
        words.plain(N_("Contact center 111 on family, women's and children's rights")),
        head % {"number": number, "day": f"{day:%d.%m.%Y}"},
        "",
        draft.words,
    ]
    said = draft.values(content)
    ordered = sorted(said, key=lambda key: _place(say, key))
    lines += [""] * bool(ordered)
    lines += [f"{say.key(key)}: {say.value(key, said[key])}" for key in ordered]
    if draft.files:
        lines += ["", words.plain(N_("Attached:")), *(each.name for each in draft.files)]
    return RequestPackage("\n".join(lines) + "\n", draft.files)


def _place(say: RecordLabels, key: str) -> tuple[str, int, str]:
    """Where a field stands in a request: those of the appeal first, then each person's."""
    field = say.form.field(key)
    person, dot, _ = key.partition(".")
    return (person if dot else "", field.position if field else 0, key)
