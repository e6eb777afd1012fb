"""The district of an appeal: chosen among those of its region, and what was typed before it was."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import xlsxwriter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.rules.fields import OUTSIDE
from callcenter.appeals.rules.masking import remaining, remaining_change
from callcenter.appeals.web.form_pages import format_options
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from tests.rules.test_districts import COLUMNS, DISTRICTS, FORM, REGIONS, row
from tests.web.browser import form_token, visible
from tests.web.conftest import Call
from tests.web.test_commands import Run, audited, run
from tests.web.test_export import of_csv, take
from tests.web.test_record_api import STATEMENT, api, change
from tests.web.test_records import WHOLE, rows, send
from tests.web.test_search import found

assert api  # fixtures, which tests ask for by their names
assert run

ASTANA, ALMATY = "710000000", "750000000"
NURA, ALMALY = "711510000", "751110000"
OLD = "Алматинский, за рекой"  # as it was typed before there was a list
IN_NURA: dict[str, Any] = {"content": {"region": ASTANA, "district": NURA}}


async def type_before_the_list(client: httpx.AsyncClient, engine: AsyncEngine, number: str) -> None:
    """A record of the time when the district was typed."""
    saved = await send(client, number, version=0, **WHOLE | {"f.region": ASTANA})
    assert saved.status_code == 303
    async with unit_of_work(engine) as connection:
        typed = "jsonb_build_object('district', CAST(:old AS text))"
        query = f"UPDATE record SET content = content || {typed}"  # noqa: S608
        await connection.execute(text(query), {"old": OLD})


@pytest.mark.parametrize(
    ("language", "typed", "region"),
    [
        ("ru", "район Нұра", ASTANA),
        ("ru", "район нұра", ""),  # which region it is in is filled in
        ("kk", " Нұра   ауданы ", ASTANA),
        ("en", "Nura district", ASTANA),
        ("ru", NURA, ASTANA),
    ],
)
async def test_a_district_is_typed_by_name_and_stored_by_code(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, language: str, typed: str, region: str
) -> None:
    requested = {"f.region": region, "f.district": typed}
    assert (await send(head, call.number, version=0, **WHOLE | requested)).status_code == 303
    query = "SELECT content ->> 'region', content ->> 'district' FROM record"
    assert await rows(engine, query) == [(ASTANA, NURA)]
    for shown, name in (("ru", "район Нұра"), ("kk", "Нұра ауданы"), ("en", "Nura district")):
        head.cookies.set("callcenter_language", shown)
        page = (await head.get(f"/appeals/{call.number}")).text
        assert f'name="f.district" value="{name}"' in page
        assert name in visible(page)  # in its history
        assert NURA not in page


async def test_all_districts_are_offered_with_their_regions_and_apart(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.cookies.set("callcenter_language", "ru")
    page = (await head.get(f"/appeals/{call.number}")).text
    assert "data-part-of=" not in page  # they would be a quarter of it
    [path] = re.findall(r'hx-get="(/answers/[^"]+)"', page)
    answers = (await head.get(path)).text
    assert answers.count("data-part-of=") == len(DISTRICTS)
    offered = f'<option value="район Нұра" data-part-of="{ASTANA}">город Астана</option>'
    assert offered in answers
    assert (await head.get("/answers/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("typed", "region"),
    [("Алмалинский район", ASTANA), ("район Нур", ASTANA), ("Абайский район", "")],
)
async def test_a_foreign_district_is_refused_beside_the_field(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, typed: str, region: str
) -> None:
    head.cookies.set("callcenter_language", "ru")
    requested = {"f.region": region, "f.district": typed}
    answer = await send(head, call.number, version=0, **WHOLE | requested)
    assert answer.status_code == 400
    assert "это не район выбранного региона" in visible(answer.text)
    assert f'name="f.district" value="{typed}"' in answer.text  # nothing typed is lost
    assert await rows(engine, "SELECT 1 FROM record") == []


async def test_earlier_typed_districts_stay_until_changed(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await type_before_the_list(head, engine, call.number)
    page = (await head.get(f"/appeals/{call.number}")).text
    assert f'name="f.district" value="{OLD}"' in page
    again = WHOLE | {"f.region": ASTANA, "f.district": OLD, "f.content": "Иначе"}
    assert (await send(head, call.number, version=1, **again)).status_code == 303
    changed = again | {"f.district": OLD + "!"}
    assert (await send(head, call.number, version=2, **changed)).status_code == 400
    assert await rows(engine, "SELECT content ->> 'district' FROM record") == [(OLD,)]
    part = await send(head, call.number, "split", version=2, key=["content", "region", "district"])
    assert part.status_code == 303
    assert await rows(engine, "SELECT content ->> 'district' FROM record") == [(OLD,)] * 2
    chosen = again | {"f.district": "Nura district"}
    assert (await send(head, call.number, version=3, **chosen)).status_code == 303


async def test_the_api_takes_codes_and_explains_refusals(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    listed = (await api.get("/api/v1/fields/appeal/district")).json()
    assert listed["type"] == "choice"
    assert {"code": NURA, "parent": ASTANA}.items() <= next(
        each for each in listed["options"] if each["code"] == NURA
    ).items()
    for content in (
        {"region": ASTANA, "district": "719900000"},
        {"region": ASTANA, "district": ALMALY},
        {"region": ASTANA, "district": "район Нұра"},
        {"district": NURA},
    ):
        refused = await change(api, call.number, 0, {"content": content})
        assert (refused.status_code, refused.json()["faults"]) == (400, {"district": OUTSIDE})
        assert refused.headers["content-type"] == "application/problem+json"
    assert (await change(api, call.number, 0, IN_NURA)).status_code == 200
    moved = {"content": {"region": ALMATY}}
    assert (await change(api, call.number, 1, moved)).json()["faults"] == {"district": OUTSIDE}
    moved["content"]["district"] = ALMALY
    assert (await change(api, call.number, 1, moved)).status_code == 200
    none = {"content": {"region": None, "district": None}}
    assert (await change(api, call.number, 2, none)).status_code == 200


async def test_the_api_leaves_what_was_typed_before_the_list(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await type_before_the_list(api, engine, call.number)
    sent = {"content": {"content": "Иначе"}}
    assert (await change(api, call.number, 1, sent)).status_code == 200
    record = (await api.get(f"/api/v1/appeals/{call.number}/record")).json()
    assert record["content"]["district"] == OLD


async def test_appeals_are_found_by_district_within_its_region(
    api: httpx.AsyncClient, call: Call
) -> None:
    assert (await change(api, call.number, 0, IN_NURA)).status_code == 200
    assert await found(api, "", region=ASTANA, district=NURA) == [call.number]
    assert await found(api, "", region=ASTANA, district="711110000") == []
    path = "/api/v1/search"
    for requested, number in ((NURA, 1), (ALMALY, 0)):
        answer = await api.get(path, params={"district": requested})
        assert len(answer.json()["appeals"]) == number
    page = (await api.get("/search", params={"region": ASTANA})).text
    assert f'<option value="{NURA}">' in page
    assert ALMALY not in page
    # Another region was chosen, with the district of the one before still in the form.
    stale = await api.get("/search", params={"region": ALMATY, "district": NURA})
    assert (stale.status_code, stale.headers["location"]) == (303, f"/search?region={ALMATY}")
    await change(api, call.number, 1, {"content": {"region": ALMATY, "district": ALMALY}})
    assert await found(api, "", region=ASTANA, district=NURA) == []
    assert await found(api, "", region=ALMATY, district=ALMALY) == [call.number]


async def test_the_file_names_districts_in_the_users_language(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    sent = STATEMENT | {"content": STATEMENT["content"] | IN_NURA["content"]}
    assert (await change(api, call.number, 0, sent)).status_code == 200
    [taken] = of_csv(await take(api, region=ASTANA, district=NURA))
    assert taken["Район"] == "район Нұра"
    api.headers["Accept-Language"] = "kk"
    [taken] = of_csv(await api.get("/api/v1/search/export", params={"district": NURA}))
    assert taken["Аудан"] == "Нұра ауданы"
    [detail] = await rows(
        engine,
        "SELECT detail FROM audit_entry WHERE action = 'web:appeals:exported' LIMIT 1",
    )
    assert detail[0]["district"] == NURA


def test_masking_keeps_chosen_districts_and_erases_typed_ones() -> None:
    chosen = {"region": ASTANA, "district": NURA}
    assert remaining(FORM, chosen) == chosen
    assert remaining(FORM, chosen | {"district": OLD}) == {"region": ASTANA}
    assert "district" in remaining_change(FORM, {"district": [None, NURA]})
    assert "district" not in remaining_change(FORM, {"district": [OLD, NURA]})


# The center brings the list up to date


def classifier(*more: tuple[object, ...], without: str = "") -> list[Sequence[object]]:
    """The classifier as it would give the list of today, with other rows or without one."""
    regions = [row(each.code, each.kk, each.ru) for each in REGIONS]
    listed = [row(each.code, each.kk, each.ru) for each in DISTRICTS if each.code != without]
    return [COLUMNS, *regions, *listed, *more]


def as_xlsx(file: Path, lines: Sequence[Sequence[object]]) -> Path:
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for at, line in enumerate(lines):
            for column, cell in enumerate(line):
                # As the state's office keeps codes: some as numbers.
                stored = float(str(cell)) if at % 2 and str(cell).isdecimal() else cell
                sheet.write(at, column, stored)
    return file


def as_csv(file: Path, lines: Sequence[Sequence[object]]) -> Path:
    reported = io.StringIO(newline="")
    csv.writer(reported, delimiter=";").writerows(lines)
    file.write_text(reported.getvalue(), encoding="utf-8-sig")
    return file


@pytest.mark.parametrize("write", [as_xlsx, as_csv])
def test_the_list_is_renewed_from_the_classifier(
    run: Run, settings: Settings, tmp_path: Path, write: Any
) -> None:
    file = write(tmp_path / f"kato.{write.__name__[3:]}", classifier())
    assert run("districts", str(file)) == f"228 districts in {file}: nothing has changed\n"
    assert audited(settings) == []
    lines = classifier(row("712210000", "Жаңа ауданы", "Новый район"), without=NURA)
    newer = write(file, lines)
    reported = run("districts", str(newer), "--dry-run")
    assert f"new      712210000 Жаңа ауданы | Новый район\nended    {NURA}" in reported
    assert reported.endswith("nothing was kept\n")
    assert audited(settings) == []
    assert run("districts", str(newer)).endswith(": kept\n")
    assert audited(settings) == [("web:field:kept", "field:appeal.district")]
    assert run("districts", str(newer)).endswith("nothing has changed\n")


async def test_an_ended_district_stays_but_is_not_offered(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert (await change(api, call.number, 0, IN_NURA)).status_code == 200
    path = "/api/v1/fields/appeal/district"
    read = await api.get(path)
    stored = {
        name: read.json()[name] for name in ("guard", "kk", "ru", "en", "position", "options")
    }
    for option in stored["options"]:
        option["active"] = option["code"] != NURA
    headers = {"If-Match": read.headers["etag"]}
    assert (await api.put(path, json=stored, headers=headers)).status_code == 200
    page = (await api.get(f"/appeals/{call.number}")).text
    offered = (await api.get("/answers/district")).text
    assert offered.count("data-part-of=") == len(DISTRICTS) - 1
    assert 'name="f.district" value="Нұра ауданы"' in page
    for option in stored["options"]:
        option["parent"] = "100000001"
    headers = {"If-Match": (await api.get(path)).headers["etag"]}
    refused = await api.put(path, json=stored, headers=headers)
    assert (refused.status_code, "region" in refused.json()["detail"]) == (400, True)


async def test_the_center_corrects_a_name_on_the_fields_page(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.cookies.set("callcenter_language", "ru")
    path = "/form/appeal/district"
    options = format_options(DISTRICTS).replace("Мерке ауданы", "Меркі ауданы")
    names = {"kk": "Аудан", "ru": "Район", "en": "District", "position": "60", "guard": "open"}
    sent = names | {"active": "true", "options": options}
    token = await form_token(head, path)
    assert (await head.post(path, data=sent | {"form_token": token})).status_code == 303
    query = "SELECT version, type FROM record_field WHERE code = 'district' ORDER BY version"
    assert await rows(engine, query) == [(1, "text"), (2, "text"), (3, "choice")]
    requested = {"f.region": "310000000", "f.district": "меркі ауданы"}
    assert (await send(head, call.number, version=0, **WHOLE | requested)).status_code == 303
    page = (await head.get(f"/appeals/{call.number}")).text
    assert 'name="f.district" value="Меркенский район"' in page


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("kato.xlsx", b"not a workbook"),
        ("kato.csv", "КАТО".encode("cp1251")),
        ("kato.csv", b"te;kaz_name\n"),
        ("kato.csv", b'te;kaz_name;rus_name\n"' + b"x" * 200_000),
        ("kato.csv", b"\x00"),
        ("kato.csv", b""),
    ],
)
def test_a_file_that_is_not_the_classifier_changes_nothing(
    run: Run, settings: Settings, tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InvalidRequest):
        run("districts", str(file))
    with pytest.raises(InvalidRequest, match="cannot read"):
        run("districts", str(tmp_path / "nothing.xlsx"))
    assert audited(settings) == []
