"""Questions of risk: their answers propose urgency and decide nothing; the center edits them."""

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.web.browser import form_token, visible
from tests.web.conftest import Call
from tests.web.test_records import rows, send

PROPOSAL = "The answers about risk propose that it is urgent. You decide: nothing is marked yet."
UNVERIFIED = "A starter set: to be verified by a psychologist."
STARTER = ("self_harm", "plan", "means", "before", "threat", "trusted")


async def shown(client: httpx.AsyncClient, call: Call) -> str:
    client.headers["accept-language"] = "en"
    return visible((await client.get(f"/appeals/{call.number}/panel")).text)


async def edit(client: httpx.AsyncClient, code: str, **values: str) -> int:
    """Fill in the form of a question of risk and send it."""
    path = f"/form/appeal/{code}"
    names = {"kk": "Сұрақ", "ru": "Вопрос", "en": "Question", "position": "200"}
    options = "yes | Иә | Да | Yes\nno | Жоқ | Нет | No\nunknown | Белгісіз | Неизвестно | Unknown"
    risk = {"guard": "sensitive", "options": options, "active": "true", "is_of_risk": "true"}
    token = await form_token(client, path)
    answer = await client.post(path, data=names | risk | values | {"form_token": token})
    return answer.status_code


async def test_answers_propose_urgency_and_decide_nothing(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    calm = {"f.content": "-", "f.risk_self_harm": "no", "f.risk_before": "yes"}
    await send(head, call.number, version=0, **calm)
    assert PROPOSAL not in await shown(head, call)
    await send(head, call.number, version=1, **calm | {"f.risk_self_harm": "yes"})
    assert PROPOSAL in await shown(head, call)
    urgent = "SELECT not_passed_on, content ? 'danger' FROM record"
    assert await rows(engine, urgent) == [(False, False)]
    decided = {"f.risk_self_harm": "yes", "f.urgency": "urgent", "f.danger_reason": "Сказала сама"}
    await send(head, call.number, version=2, **calm | decided)
    assert PROPOSAL not in await shown(head, call)
    stored = await rows(engine, "SELECT content::text FROM record")
    stored += await rows(engine, "SELECT differences::text FROM record_change")
    assert "risk" not in str(stored)  # sealed


async def test_what_is_typed_proposes_before_it_is_saved(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    typed = {"f.risk_plan": "yes", "kind": ""}
    assert PROPOSAL in visible((await send(head, call.number, "similar", **typed)).text)
    danger = typed | {"kind": "danger"}
    assert PROPOSAL not in (await send(head, call.number, "similar", **danger)).text


async def test_the_center_edits_verifies_and_answers_stay(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **{"f.content": "-", "f.risk_before": "yes"})
    page = await shown(head, call)
    assert (UNVERIFIED in page, PROPOSAL in page) == (True, False)
    for code in STARTER:
        assert await edit(head, f"risk_{code}", proposing="yes", verified="true") == 303
    page = await shown(head, call)
    assert (UNVERIFIED in page, PROPOSAL in page) == (False, True)
    versions = "SELECT version, proposing, verified FROM record_field WHERE code = 'risk_before'"
    assert await rows(engine, f"{versions} ORDER BY version") == [
        (1, [], False),
        (2, ["yes"], True),
    ]


async def test_a_question_of_risk_proposes_by_its_own_answers(head: httpx.AsyncClient) -> None:
    assert await edit(head, "risk_plan", proposing="perhaps") == 400
    assert await edit(head, "risk_plan", proposing="yes unknown") == 303
