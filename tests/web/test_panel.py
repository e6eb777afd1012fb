"""The panel of an appeal alone, as htmx puts it into a page: no reload, and nothing is lost."""

import json
import re
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.rules.states import (
    AppealState,
    MissingRequirements,
    TransitionFacts,
    check_move,
)
from callcenter.appeals.web.appeal_view import REQUIRED_FIELDS
from callcenter.platform.identity.permissions import Role
from tests.web.browser import form_token
from tests.web.conftest import Call, Enter
from tests.web.test_records import WHOLE, rows

CONSULTATION: dict[str, Any] = {
    "kind": "consultation",
    "f.topics": "family_alimony",
    "f.content": "Спросила о пособии",
    "f.help": "information",
    "f.decision": "Достаточно совета",
    "f.decision_reason": "Всё сказано",
}


async def press(
    client: httpx.AsyncClient, number: str, action: str = "record", **values: Any
) -> httpx.Response:
    """Send a form of the panel as htmx does."""
    token = await form_token(client, f"/appeals/{number}/panel")
    return await client.post(
        f"/appeals/{number}/{action}",
        data={"form_token": token, **values},
        headers={"HX-Request": "true"},
    )


def is_panel(answer: httpx.Response) -> bool:
    return answer.text.strip().startswith("<section") and "<html" not in answer.text


async def test_the_panel_sends_each_form_without_a_reload(
    head: httpx.AsyncClient, call: Call
) -> None:
    await press(head, call.number, version=0, **WHOLE | {"f.danger": "yes"})
    answer = await head.get(f"/appeals/{call.number}/panel")
    assert is_panel(answer)
    forms = re.findall(r'<form method="post" action="([^"]+)"([^>]*)>', answer.text)
    assert len(forms) > 6
    assert [f'hx-post="{action}"' in rest for action, rest in forms] == [True] * len(forms)


async def test_what_is_pressed_gives_the_panel_and_an_event(
    enter: Enter, call: Call, engine: AsyncEngine
) -> None:
    async with enter(Role.CONSULTANT) as client:
        saved = await press(client, call.number, version=0, **CONSULTATION)
        assert (saved.status_code, is_panel(saved)) == (200, True)
        assert json.loads(saved.headers["hx-trigger"]) == {
            "appeal-changed": {"number": call.number}
        }
        assert 'name="version" value="1"' in saved.text
        noted = await press(client, call.number, "contact-wishes", allowed="false")
        assert is_panel(noted)
        assert re.search(r'data-fold="contact"[^>]* open>', noted.text)
        refused = await press(client, call.number, "contact-wishes", allowed="true")
        assert (refused.status_code, is_panel(refused)) == (400, True)
        assert re.search(r'data-fold="contact"[^>]* open>', refused.text)
        assert "hx-trigger" not in refused.headers


async def test_saving_and_closing_is_one_step(
    enter: Enter, call: Call, engine: AsyncEngine
) -> None:
    async with enter(Role.CONSULTANT) as client:
        lacking = CONSULTATION | {"f.help": "", "after": "closed"}
        refused = await press(client, call.number, version=0, **lacking)
        assert refused.status_code == 400
        # What was typed is saved, and what is lacking is marked at its field.
        assert await rows(engine, "SELECT version, stage FROM record") == [(1, "contact")]
        assert re.search(r'<div class="question wrong" data-key="help">', refused.text)
        closed = await press(client, call.number, version=1, **CONSULTATION | {"after": "closed"})
        assert closed.status_code == 200
        assert 'data-stage="closed"' in closed.text
    assert await rows(engine, "SELECT stage FROM record") == [("closed",)]


async def test_a_conflict_is_shown_in_the_panel(enter: Enter, call: Call) -> None:
    async with enter(Role.CONSULTANT) as first, enter(Role.CONSULTANT) as second:
        await press(first, call.number, version=0, **CONSULTATION | {"f.content": "Первая"})
        mine = CONSULTATION | {"f.content": "Вторая", "after": "closed"}
        refused = await press(second, call.number, version=0, **mine)
        assert (refused.status_code, is_panel(refused)) == (409, True)
        assert "Первая" in refused.text
        assert "Вторая" in refused.text
        again = await press(second, call.number, version=1, **mine)
        assert 'data-stage="closed"' in again.text


async def test_whom_somebody_else_added_is_shown_in_a_conflict(enter: Enter, call: Call) -> None:
    async with enter(Role.CONSULTANT) as first, enter(Role.CONSULTANT) as second:
        added = {"f.affected2.name": "Арман"}
        await press(first, call.number, version=0, **CONSULTATION | added)
        refused = await press(second, call.number, version=0, **CONSULTATION)
        assert refused.status_code == 409
        [fold] = re.findall(r'data-fold="person-affected2".*?</details>', refused.text, re.S)
        assert 'name="f.affected2.name"' in fold
        assert "Арман" in fold


async def test_questions_about_further_people_load_when_opened(enter: Enter, call: Call) -> None:
    async with enter(Role.CONSULTANT) as client:
        panel = (await client.get(f"/appeals/{call.number}/panel")).text
        loaded = re.findall(r'hx-get="/questions/(\w+)"', panel)
        assert loaded == ["representative", "reporter", "affected2", "accused1"]
        questions_of_all = re.findall(r'name="f\.applicant\.(\w+)"', panel)
        for person in loaded:
            assert f'name="f.{person}.' not in panel
            questions = (await client.get(f"/questions/{person}")).text
            assert re.findall(rf'name="f\.{person}\.(\w+)"', questions) == questions_of_all
        for nobody in ("nobody", "affected10", "affected1.name", "applicant1"):
            assert (await client.get(f"/questions/{nobody}")).status_code == 404, nobody


async def test_a_late_step_is_refused_in_the_panel(enter: Enter, call: Call) -> None:
    async with enter(Role.CONSULTANT) as client:
        silent: dict[str, Any] = {
            "action": "record/no-request",
            "version": 0,
            "disposition": "silent",
        }
        assert is_panel(await press(client, call.number, **silent))
        late = await press(client, call.number, **silent)
        assert (late.status_code, is_panel(late)) == (409, True)


async def test_the_former_page_of_the_record_leads_to_the_appeal(enter: Enter, call: Call) -> None:
    for role in (Role.CONSULTANT, Role.AUDITOR):
        async with enter(role) as client:
            answer = await client.get(f"/appeals/{call.number}/record")
            assert (answer.status_code, answer.headers["location"]) == (
                308,
                f"/appeals/{call.number}",
            )
            page = await client.get(answer.headers["location"])
            assert ('id="appeal-panel"' in page.text) is (role is Role.CONSULTANT)


def test_every_requirement_of_closing_has_its_field() -> None:
    nothing = TransitionFacts(
        kind=None,
        identified=False,
        described=False,
        helped=False,
        decided=False,
        registered=False,
        explained=False,
    )
    for after in (AppealState.REGISTERED, AppealState.CLOSED):
        with pytest.raises(MissingRequirements) as refused:
            check_move(AppealState.CONTACT, after, nothing, "")
        assert set(refused.value.what) <= set(REQUIRED_FIELDS)


async def test_folds_have_the_same_digits_on_every_appeal(enter: Enter, call: Call) -> None:
    def folds(panel: str) -> dict[str, str]:
        found = re.findall(r'data-fold="([^"]+)"[^>]*>\s*<summary data-digit="(\d)"', panel)
        return {digit: fold for fold, digit in found}

    async with enter(Role.CONSULTANT) as client:
        before = folds((await client.get(f"/appeals/{call.number}/panel")).text)
        assert list(before) == [*"1234567890"]
        assert [before[digit] for digit in "123"] == [
            "more",
            "person-applicant",
            "person-affected1",
        ]
        danger = {"f.danger": "yes", "f.danger_reason": "-"}
        named = CONSULTATION | danger | {"f.affected2.name": "Арман"}
        saved = await press(client, call.number, version=0, **named)
        assert saved.status_code == 200, saved.text
        panel = (await client.get(f"/appeals/{call.number}/panel")).text
        for fold in ("person-affected2", "follow-up"):
            assert f'data-fold="{fold}"' in panel
        assert folds(panel) == before
