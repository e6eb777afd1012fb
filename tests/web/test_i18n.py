"""Words: everything is said in all languages, and no page mixes them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

import callcenter
from callcenter.appeals.calls import labels
from callcenter.appeals.calls.labels import AppealLabels, shown_number
from callcenter.appeals.calls.store import AppealRow, EventRow, add_events
from callcenter.appeals.form.store import read_form
from callcenter.appeals.rules.number import make
from callcenter.consultants.labels import IN_ENGLISH, name_of
from callcenter.consultants.reference_lists import ListKind, list_entries
from callcenter.demands import service
from callcenter.platform.core import i18n, pagination
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.i18n import (
    LANGUAGES,
    LOCALE_FOLDER,
    Translator,
    choose_language,
    length,
)
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.rules.call_alerts import CallAlert
from callcenter.telephony.calls.inbound.menu import MenuChoice
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from tests.demands.conftest import OFFICER, demand_form
from tests.web.browser import visible
from tests.web.conftest import CONSULTANT, RECEIVED, Call, Enter, add_user

TRANSLATED = ("kk", "ru")
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def catalog(language: str) -> Catalog:
    with (LOCALE_FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def messages() -> Iterator[str]:
    """Every message of templates and code."""
    for _, _, message, _, _ in extract_from_dir(
        Path(callcenter.__file__).parent,
        method_map=[("**/templates/**.html", "jinja2.ext:babel_extract"), ("**.py", "python")],
        keywords={"_": None, "N_": None},
    ):
        assert isinstance(message, str)
        yield message


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_message_has_a_translation_and_none_is_left(language: str) -> None:
    expected = set(messages())
    assert len(expected) > 80
    existing = {str(entry.id): str(entry.string) for entry in catalog(language) if entry.id}
    assert expected == {message for message, text in existing.items() if text}
    assert set(existing) == expected
    for message, text in existing.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(message)), message


def test_kazakh_is_not_russian_and_neither_is_english() -> None:
    kk, ru = ({str(m.id): str(m.string) for m in catalog(lang) if m.id} for lang in TRANSLATED)
    assert not [message for message in kk if kk[message] == ru[message] and "мс" not in kk[message]]
    for translations in (kk, ru):
        assert not [text for text in translations.values() if re.search("[a-z]{2}", strip(text))]
    # Letters that only the other language has.
    assert not [text for text in ru.values() if re.search("[әіңғүұқөһ]", text, re.I)]


async def test_an_appeal_has_one_word_in_kazakh(engine: AsyncEngine) -> None:
    """The law's: өтініш is a statement, one kind of an appeal, and өтініш беруші an applicant."""
    texts = {str(each.id): str(each.string) for each in catalog("kk") if each.id}
    async with unit_of_work(engine) as connection:
        texts |= {field.en: field.kk for field in (await read_form(connection)).fields}
    other = re.compile(r"өтініш(?!\w* беруш)", re.I)
    found = [message for message, text in texts.items() if other.search(text)]
    assert [message for message in found if "statement" not in message.lower()] == []


def test_kazakh_has_one_word_for_a_record_and_a_supervisor() -> None:
    """Those of docs/glossary.md: жазба is a recording or a note, аға кеңесші one role of two."""
    texts = {str(each.id): str(each.string) for each in catalog("kk") if each.id}
    of_record, of_supervisor = re.compile(r"\b[Tt]h(?:e|is) record\b|^Record (?!what)"), "upervisor"
    assert [each for each in texts if of_record.search(each) and "арточка" not in texts[each]] == []
    assert [each for each in texts if of_supervisor in each and "жетекші" not in texts[each]] == []


def strip(text: str) -> str:
    return PLACEHOLDER.sub("", text)


def test_every_moment_outcome_and_choice_has_words() -> None:
    assert set(labels.EVENTS) == {moment.value for moment in CallEvent}
    assert set(labels.OUTCOMES) == {outcome.value for outcome in Outcome}
    assert set(labels.URGENCIES) == {urgency.value for urgency in Urgency}
    assert set(labels.ALERTS) == {alert.value for alert in CallAlert}
    assert set(labels.CHOICES) == {*(wish.value for wish in MenuChoice), "callback", "message"}


PATHS = (
    "/",
    "/search",
    "/appeals?number=1",
    f"/appeals?number={make(26, 99)}",
    "/appeals?before=x",
    "/live",
    "/audit",
    "/figures",
    "/figures?since=2026-11-24&until=2026-11-25",
    "/figures/calls?since=2026-11-24",
    "/live/alarms",
    "/live/queue",
    "/blocked",
    "/promises",
    "/demands",
    "/second-factor",
    "/users",
    "/users/somebody",
    "/signed-out",
    "/password",
    "/authority/demands",
    "/search/recordings",
    "/erasures",
    "/recordings?appeal=1",
    "/nowhere",
)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_no_page_mixes_languages(
    enter: Enter, engine: AsyncEngine, call: Call, language: str
) -> None:
    await add_every_moment(engine, call)
    await add_user(engine, "somebody", Role.SENIOR)
    pages = []
    async with enter(None) as client:
        client.headers["accept-language"] = language
        pages.append((await client.get("/sign-in")).text)
    for role in (Role.HEAD, Role.AUDITOR, Role.ADMINISTRATOR, Role.AUTHORITY):
        async with enter(role) as client:
            client.headers["accept-language"] = language
            for path in (*PATHS, f"/appeals/{call.number}", f"/recordings/{call.recording}"):
                answer = await client.get(path, follow_redirects=True)
                pages.append(answer.text)
    own = " | ".join(map(str, said_in(language)))  # of which others' words may be a part
    others = {
        text: other
        for other in LANGUAGES
        if other != language
        for text in said_only_in(other, language)
        if text not in own
    }
    for page in pages:
        assert f'<html lang="{language}">' in page
        words = re.sub(r"<code\b.*?</code>", "", page, flags=re.S)  # data, not words of ours
        text = visible(words).replace(CONSULTANT, "")
        for foreign, other in others.items():
            if foreign in text:  # patterns by the thousand would be compiled again for each page
                whole = rf"(?<!\w){re.escape(foreign)}(?!\w)"
                assert not re.search(whole, text), (foreign, other)
        if language == "en":
            assert not re.search("[а-яёәіңғүұқөһ]", text, re.I)
        else:
            # Names of people and keys are as they are everywhere.
            latin = re.sub(
                r"\b(?:Ctrl|Alt|Enter|Esc|J|K|QR|somebody|[A-Z2-7]{4}|[a-z_]+-[0-9a-f]{8})\b",
                "",
                text,
            )
            assert not re.search("[a-z]{2}", latin, re.I)


def said_only_in(other: str, language: str) -> set[str]:
    """What the other language says otherwise; single common words could be in both."""
    own = said_in(language)
    return {text for text in said_in(other) - own if "%(" not in text and len(text) > 4}


def said_in(language: str) -> set[str]:
    say = Translator(language)
    return {str(say(str(entry.id))) for entry in catalog(TRANSLATED[0]) if entry.id}


async def add_every_moment(engine: AsyncEngine, call: Call) -> None:
    """Every moment, with every detail that has words, and one that a later version might add."""
    details = (
        [{"language": language} for language in ("kk", "ru")]
        + [{"choice": choice} for choice in labels.CHOICES]
        + [{"why": why} for why in [*labels.REASONS, "cause_99"]]
        + [{"how": how} for how in labels.MANNERS]
        + [{"outcome": outcome} for outcome in labels.OUTCOMES]
        + [{"reason": reason} for reason in labels.URGENCIES]
        + [{"key": key} for key in [*labels.ANSWER_KEYS, "7"]]
        + [{"whole": False}]
        + [{"number": whose} for whose in labels.NUMBERS]
        + [{"appeal": "2600000017"}]
        + [{"attempt": "2"}]
        + [{"hang_up": reason} for reason in labels.HANGUP_REASONS]
        + [{"hung_up": "consultant"}]
    )
    kinds = [*CallEvent, *["of_the_future"] * len(details)]
    added = [
        EventRow(call.id, 100 + n, RECEIVED, kind, details[n] if n < len(details) else {})
        for n, kind in enumerate(kinds)
    ]
    async with unit_of_work(engine) as connection:
        await add_events(connection, added)


@pytest.mark.parametrize(
    ("remembered", "accepted", "chosen"),
    [
        (None, "", "kk"),
        (None, "de, fr;q=0.9", "kk"),
        (None, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        (None, "en;q=0.2, ru;q=0.9", "ru"),
        (None, "ru;q=0, en", "en"),
        (None, "en-GB, ru", "en"),
        ("ru", "en", "ru"),
        ("de", "en", "en"),
    ],
)
def test_the_language_is_chosen_else_the_browsers_else_kazakh(
    remembered: str | None, accepted: str, chosen: str
) -> None:
    assert choose_language(remembered, accepted) == chosen


@given(st.none() | st.text(), st.text())
def test_whatever_the_browser_says_there_is_a_language(
    remembered: str | None, accepted: str
) -> None:
    assert choose_language(remembered, accepted) in LANGUAGES


def test_values_in_a_message_are_escaped() -> None:
    said = Translator("en")("Appeal %(number)s", number="<b>")
    assert str(said) == "Appeal &lt;b&gt;"


@pytest.mark.parametrize("language", LANGUAGES)
def test_moments_are_in_almaty_and_written_as_days_are(language: str) -> None:
    late = datetime(2026, 11, 24, 20, 30, tzinfo=UTC)
    assert Translator(language).moment(late) == "25.11.2026, 01:30:00"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (47.9, "0:47"), (723, "12:03"), (3730, "1:02:10")]
)
def test_a_length_is_said_in_minutes_and_seconds(seconds: float, said: str) -> None:
    assert length(timedelta(seconds=seconds)) == said


def test_a_site_without_a_translation_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(i18n, "LOCALE_FOLDER", tmp_path)
    with pytest.raises(OperationFailed, match="kk"):
        Translator("kk")
    for broken in (b"garbage", b'msgid "x"\nmsgstr "\xff"'):
        (tmp_path / "kk.po").write_bytes(broken)
        with pytest.raises(OperationFailed, match="kk"):
            Translator("kk")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.uuids(),
)
def test_a_cursor_comes_back_as_it_was_given(at: datetime, identity: object) -> None:
    place = (at, identity)
    assert pagination.read(pagination.write(place)) == place  # type: ignore[arg-type]


@given(st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9_-]{32}", fullmatch=True))
def test_no_text_is_taken_for_a_cursor_by_mistake(text: str) -> None:
    try:
        place = pagination.read(text)
    except InvalidRequest:
        return
    assert pagination.write(place) == text


def row(kind: str, number: str | None) -> AppealRow:
    return AppealRow(
        uuid4(),
        "2600000017",
        "call",
        None,
        None,
        kind,
        number,
        None,
        None,
        None,
        RECEIVED,
        None,
        None,
        (),
    )


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_masked_number_shows_at_most_the_ends(number: str) -> None:
    shown = shown_number(row("number", number))
    assert shown is not None
    assert len(re.sub(r"\D", "", shown)) <= 6


def test_numbers_are_masked_the_way_people_read_them() -> None:
    assert shown_number(row("number", "+77012345667")) == "+7 701 *** ** 67"
    assert shown_number(row("number", "+4915112345678")) == "+49 ********* 78"
    assert shown_number(row("number", "rubbish")) == "***"
    assert shown_number(row("short", "102")) == "102"
    assert shown_number(row("withheld", None)) is None


def test_what_has_no_words_is_left_out_of_the_details() -> None:
    say = AppealLabels(Translator("en"))
    event = EventRow(uuid4(), 1, RECEIVED, "unanswered", {"consultant": "2001", "why": "cause_99"})
    assert say.detail(event) == "consultant 2001"


async def test_the_words_of_a_page_are_those_of_its_language(visitor: httpx.AsyncClient) -> None:
    for language, reported in (("kk", "Құпиясөз"), ("ru", "Пароль"), ("en", "Password")):
        visitor.headers["accept-language"] = language
        assert reported in visible((await visitor.get("/sign-in")).text)


async def test_what_the_product_brings_is_named_in_three_languages(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        brought = [each for kind in ListKind for each in await list_entries(connection, kind)]
    assert {each.code for each in brought} == set(IN_ENGLISH)
    for each in brought:
        names = {"kk": each.name_kk, "ru": each.name_ru}
        said = [name_of(Translator(language), each.code, names) for language in LANGUAGES]
        assert said == [each.name_kk, each.name_ru, IN_ENGLISH[each.code]]


def test_a_name_without_english_says_that_it_is_russian() -> None:
    names = {"kk": "Ымдау тілі", "ru": "Язык <жестов>"}
    said = name_of(Translator("en"), "signing", names)
    assert said == '<span lang="ru">Язык &lt;жестов&gt;</span>'
    assert name_of(Translator("kk"), "signing", names) == "Ымдау тілі"


async def test_a_sender_is_in_english_or_marked_with_its_language(
    enter: Enter, engine: AsyncEngine
) -> None:
    await service.register(engine, OFFICER, demand_form())
    await service.register(engine, OFFICER, demand_form(sender="Прокуратура", letter_number="2"))
    async with enter(Role.HEAD) as head:
        head.headers["accept-language"] = "en"
        page = (await head.get("/demands")).text
    assert "Ministry of Artificial Intelligence and Digital Development" in page
    assert "Министерство" not in page
    assert '<span lang="und">Прокуратура</span>' in page
