"""Who is competent, on its page: by topic and place, in a table, with a list of holes."""

import re
from collections import Counter

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.permissions import Role
from tests.web.browser import visible
from tests.web.conftest import Enter
from tests.web.test_bodies import find, send

ASTANA = "710000000"
VERIFIED = "has a verified contact"


def covered(page: str) -> Counter[str]:
    """How often the table says each word of its legend."""
    legend = dict(re.findall(r'<span id="([^"]+)">([^<]+)</span>', page))
    return Counter(legend[each] for each in re.findall(r' aria-labelledby="(coverage[^"]+)"', page))


async def test_the_table_has_each_direction_in_each_region(head: httpx.AsyncClient) -> None:
    head.headers["accept-language"] = "en"
    page = (await head.get("/competence")).text
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    lines = table.split("<tr>")[1:]
    assert [line.count("<td") for line in lines] == [13] * 20
    # Nobody has verified anything yet: all of it is on the list of holes.
    assert sum(covered(page).values()) == 13 * 20
    assert not covered(page).keys() & {VERIFIED, "no body is competent"}
    holes = visible(page.partition(">Holes</h2>")[2])
    for name in ("Ministry of Internal Affairs", "Children&#39;s Rights Department, Astana"):
        assert name.replace("&#39;", "'") in holes
    assert "Housing" in holes


async def test_a_verified_contact_closes_a_hole_until_it_fails(
    engine: AsyncEngine, head: httpx.AsyncClient
) -> None:
    head.headers["accept-language"] = "en"
    police = "/bodies/internal_affairs"

    async def holes() -> str:
        return (await head.get("/competence")).text.partition(">Holes</h2>")[2]

    assert police in await holes()
    [contact] = (await find(engine, "internal_affairs")).contacts
    await send(head, f"{police}/contacts/{contact.id}/verified")
    assert police not in await holes()
    assert covered((await head.get("/competence")).text)[VERIFIED] == 20
    await send(head, f"{police}/contacts/{contact.id}/failure", failure="it rings out")
    assert police in await holes()


async def test_the_page_says_where_a_hole_falls_to(head: httpx.AsyncClient, enter: Enter) -> None:
    matter = {"f.topics": "bullying", "f.region": ASTANA}
    names = "2026-11-24 | Астана қаласының әкімдігі | Акимат города Астаны | Akimat, Astana"
    akimat = {"kind": "local", "region": ASTANA, "names": names, "version": "1"}
    await send(head, "/bodies/akimat_71", **akimat, contacts="telephone | 109")
    async with enter(Role.CONSULTANT) as consultant:
        consultant.headers["accept-language"] = "en"
        page = visible((await consultant.get("/competence", params=matter)).text)
    assert "Children's Rights Department, Astana : competent in the region" in page
    assert "Without a contact that works: Children's Rights Department, Astana." in page
    assert "So it falls to the next body: Akimat, Astana Telephone: 109" in page


async def test_who_is_passed_over_beside_another_is_named(head: httpx.AsyncClient) -> None:
    head.headers["accept-language"] = "en"
    names = "2026-11-24 | Ғылым | Наука | Science"
    science = {"kind": "central", "direction": ["children"], "names": names, "version": "1"}
    await send(head, "/bodies/higher_education", **science, contacts="telephone | 109")
    page = visible((await head.get("/competence", params={"f.direction": "children"})).text)
    assert "Without a contact that works: Ministry of Enlightenment. Science Telephone: 109" in page
