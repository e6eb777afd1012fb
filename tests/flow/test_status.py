"""Appeal status by telephone: told to the applicant, refused to others (R13)."""

from dataclasses import dataclass, replace
from datetime import date

import pytest

from callcenter.appeals.extensions import NewsSource
from callcenter.appeals.status.lookup import SPOKEN_STATES, AppealStatusRow
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.inbound.status_lookup import status_prompts
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from callcenter.telephony.calls.ports import AppealStatus
from callcenter.telephony.calls.prompts.texts import PAUSE, ordinal, spell_digits, texts
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.scenarios import assert_nothing_left
from tests.flow.story import Story


@pytest.mark.parametrize("stage", sorted(set(SPOKEN_STATES.values())))
def test_each_stage_and_each_day_can_be_said(stage: str) -> None:
    for month in range(1, 13):
        for day in range(1, 29):
            said = status_prompts(AppealStatusRow(stage, True, date(2026, month, day)))
            assert set(said) <= set(texts())
            assert said[0] == f"status_{stage}"
    by_whom = ["status_source_name"] * (stage == "forwarded")  # whoever may be named or not
    assert status_prompts(AppealStatusRow(stage, False, None)) == [f"status_{stage}", *by_whom]


def test_days_are_said_as_dates_are() -> None:
    assert ordinal("ru", 24) == "двадцать четвёртое"
    assert ordinal("ru", 30) == "тридцатое"
    assert ordinal("ru", 31) == "тридцать первое"
    assert ordinal("kk", 24) == "жиырма төртінші"
    assert ordinal("kk", 30) == "отызыншы"
    for language in CALLER_LANGUAGES:
        assert len({ordinal(language, day) for day in range(1, 32)}) == 31


POLICE = NewsSource({}, "ЗТ-1", date(2026, 11, 24), "102")
BY_TELEPHONE = ["status_source", *spell_digits("102")]
OTHER = replace(POLICE, telephone="+77172716100")


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ((), ["status_source_name"]),
        (
            (POLICE,),
            [*BY_TELEPHONE, "status_source_name"],
        ),
        (
            (OTHER,),
            ["status_source", *spell_digits("87172716100"), "status_source_name"],
        ),
        ((replace(POLICE, telephone=None),), ["status_source_name"]),
        ((POLICE, replace(POLICE, number="ЗТ-2")), [*BY_TELEPHONE, "status_source_name"]),
        # Which telephone is whose a consultant says.
        ((POLICE, OTHER), ["status_source_name"]),
        ((POLICE, replace(OTHER, telephone=None)), ["status_source_name"]),
    ],
)
def test_the_body_that_has_it_is_said_with_its_telephone(
    sources: tuple[NewsSource, ...], said: list[str]
) -> None:
    prompts = status_prompts(AppealStatusRow("forwarded", False, None, None, sources))
    assert prompts == ["status_forwarded", *said]
    assert set(prompts) <= {*texts(), PAUSE}


@dataclass
class Register:
    """Fake look-up of appeal 2600000014 with proof 4567, which can fail."""

    lookups: list[tuple[str, str]]
    fails: bool = False

    def is_number(self, typed: str) -> bool:
        return typed == "2600000014"

    async def look_up(
        self, number: str, proof: str, call_id: str, caller: str | None
    ) -> AppealStatus | None:
        self.lookups.append((number, proof))
        if self.fails:
            raise OperationFailed("the database is away")
        return AppealStatusRow("forwarded", False, date(2026, 12, 16)) if proof == "4567" else None


async def run_story(
    *, ask: str, pin: str, again: str = "", fails: bool = False, language: str = "ru"
) -> tuple[FakeTelephony, Outcome]:
    keys = {
        "lang_choice": {"kk": "1", "ru": "2"}[language],
        "menu_main": "2",
        "status_ask": ask,
        "status_pin": pin,
    }
    telephony = FakeTelephony(Story({**keys, "status_again": again}, consultants=[""]))
    call = telephony.call()
    call.status_lookup = Register([], fails)
    outcome = await inbound_call(call)
    assert_nothing_left(telephony)
    return telephony, outcome


@pytest.mark.parametrize("language", CALLER_LANGUAGES)
async def test_an_applicant_hears_stage_and_last_day_and_nothing_else(language: str) -> None:
    telephony, outcome = await run_story(
        ask="2600000014#", pin="4567#", again="1", language=language
    )
    assert outcome is Outcome.INFORMED
    due = ["status_due", "day_16", "month_12"]
    said = ["status_forwarded", *due, "status_source_name", "status_again"]
    heard = [sound.removeprefix(f"{language}/") for sound in telephony.leg.heard]
    assert heard[heard.index("status_forwarded") :] == [*said, *said, "goodbye"]
    assert CallEvent.STATUS_TOLD in telephony.record.events


async def test_a_mistyped_number_is_caught_before_the_code() -> None:
    telephony, outcome = await run_story(ask="2600000041#2600000014#", pin="4567#")
    assert outcome is Outcome.INFORMED
    assert telephony.leg.heard.count("ru/status_mistake") == 1
    assert telephony.leg.heard.count("ru/status_pin") == 1


async def test_after_three_wrong_tries_a_consultant_helps() -> None:
    telephony, outcome = await run_story(ask="2600000014#" * 3, pin="0000#1111#2222#")
    assert outcome is Outcome.TALKED
    assert telephony.leg.heard.count("ru/status_not_found") == 3
    assert CallEvent.STATUS_NOT_TOLD in telephony.record.events


@pytest.mark.parametrize("case", ["0 instead of a number", "0 afterwards", "a database away"])
async def test_a_consultant_is_never_far(case: str) -> None:
    ask = "0#" if case.startswith("0 instead") else "2600000014#"
    again = "0" if case == "0 afterwards" else ""
    _, outcome = await run_story(ask=ask, pin="4567#", again=again, fails=case == "a database away")
    assert outcome is Outcome.TALKED


@pytest.mark.parametrize(("key", "urgency"), [("5", Urgency.SILENT), ("8", Urgency.DANGER)])
async def test_who_tells_of_need_having_heard_it_gets_a_consultant(
    key: str, urgency: Urgency
) -> None:
    telephony, outcome = await run_story(ask="2600000014#", pin="4567#", again=key)
    assert outcome is Outcome.TALKED
    assert telephony.record.urgencies == [urgency]
    assert telephony.urgent_places == [True]
