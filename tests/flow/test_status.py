"""What an applicant learns by telephone of an appeal, and what nobody else does (R13)."""

from dataclasses import dataclass
from datetime import date

import pytest

from callcenter.errors import WeFailed
from callcenter.line.flow import inbound_call
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.line.ports import Progress
from callcenter.line.prompts.texts import LANGUAGES, ordinal, texts
from callcenter.line.status import status_prompts
from callcenter.register.progress import TOLD, Standing
from tests.flow.endings import assert_nothing_left
from tests.flow.story import Story
from tests.flow.world import World


@pytest.mark.parametrize("stage", sorted(set(TOLD.values())))
def test_each_stage_and_each_day_can_be_said(stage: str) -> None:
    for month in range(1, 13):
        for day in range(1, 29):
            said = status_prompts(Standing(stage, True, date(2026, month, day)))
            assert set(said) <= set(texts())
            assert said[0] == f"status_{stage}"
    assert status_prompts(Standing(stage, False, None)) == [f"status_{stage}"]


def test_days_are_said_as_dates_are() -> None:
    assert ordinal("ru", 24) == "двадцать четвёртое"
    assert ordinal("ru", 30) == "тридцатое"
    assert ordinal("ru", 31) == "тридцать первое"
    assert ordinal("kk", 24) == "жиырма төртінші"
    assert ordinal("kk", 30) == "отызыншы"
    for language in LANGUAGES:
        assert len({ordinal(language, day) for day in range(1, 32)}) == 31


@dataclass
class Register:
    """An appeal 2600000014 whose proof is 4567; it fails if told so."""

    asked: list[tuple[str, str]]
    fails: bool = False

    def is_number(self, typed: str) -> bool:
        return typed == "2600000014"

    async def of(
        self, number: str, proof: str, call_id: str, caller: str | None
    ) -> Progress | None:
        self.asked.append((number, proof))
        if self.fails:
            raise WeFailed("the database is away")
        return Standing("forwarded", False, date(2026, 12, 16)) if proof == "4567" else None


async def told(
    *, ask: str, pin: str, again: str = "", fails: bool = False, language: str = "ru"
) -> tuple[World, Outcome]:
    keys = {
        "lang_choice": {"kk": "1", "ru": "2"}[language],
        "menu_main": "2",
        "status_ask": ask,
        "status_pin": pin,
    }
    world = World(Story({**keys, "status_again": again}, consultants=[""]))
    call = world.call()
    call.progress = Register([], fails)
    outcome = await inbound_call(call)
    assert_nothing_left(world)
    return world, outcome


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_applicant_hears_stage_and_last_day_and_nothing_else(language: str) -> None:
    world, outcome = await told(ask="2600000014#", pin="4567#", again="1", language=language)
    assert outcome is Outcome.INFORMED
    said = ["status_forwarded", "status_due", "day_16", "month_12", "status_again"]
    heard = [sound.removeprefix(f"{language}/") for sound in world.leg.heard]
    assert heard[heard.index("status_forwarded") :] == [*said, *said, "goodbye"]
    assert Moment.STATUS_TOLD in world.record.moments


async def test_a_slip_in_the_number_is_caught_before_the_code_is_asked() -> None:
    world, outcome = await told(ask="2600000041#2600000014#", pin="4567#")
    assert outcome is Outcome.INFORMED
    assert world.leg.heard.count("ru/status_mistake") == 1
    assert world.leg.heard.count("ru/status_pin") == 1


async def test_after_three_wrong_tries_a_consultant_helps() -> None:
    world, outcome = await told(ask="2600000014#" * 3, pin="0000#1111#2222#")
    assert outcome is Outcome.TALKED
    assert world.leg.heard.count("ru/status_not_found") == 3
    assert Moment.STATUS_NOT_TOLD in world.record.moments


@pytest.mark.parametrize("case", ["0 instead of a number", "0 afterwards", "a database away"])
async def test_a_consultant_is_never_far(case: str) -> None:
    ask = "0#" if case.startswith("0 instead") else "2600000014#"
    again = "0" if case == "0 afterwards" else ""
    _, outcome = await told(ask=ask, pin="4567#", again=again, fails=case == "a database away")
    assert outcome is Outcome.TALKED


@pytest.mark.parametrize(("key", "urgency"), [("5", Urgency.SILENT), ("8", Urgency.DANGER)])
async def test_who_tells_of_need_having_heard_it_gets_a_consultant(
    key: str, urgency: Urgency
) -> None:
    world, outcome = await told(ask="2600000014#", pin="4567#", again=key)
    assert outcome is Outcome.TALKED
    assert world.record.urgencies == [urgency]
    assert world.urgent_places == [True]
