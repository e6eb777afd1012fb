"""Guides of pages: every page has one, or is named here, and each is short and in plain words."""

import re
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from callcenter.appeals.permissions import AppealPermission
from callcenter.bootstrap.web import web_modules
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.web.application import OWN
from callcenter.platform.web.guides import Guide, GuideLine
from callcenter.platform.web.templating import HERE

#: Pages without one: they say all of it themselves, or nobody is signed in.
NEED_NONE = {
    "appeals/receipt.html",  # paper, in the language of the applicant
    "users/invitation.html",
    "users/people_links.html",
    "web/base.html",
    "web/code.html",
    "web/error.html",
    "web/invitation.html",
    "web/recovery_codes.html",
    "web/sign_in.html",
    "web/signed_out.html",
}
ROOMS = (OWN, *web_modules())
GUIDES = [guide for room in ROOMS for guide in room.guides]
LARGEST_PICTURE = 40_000  # bytes
LARGEST_OF_ALL = 1_500_000  # bytes
LONGEST = 8  # lines, beside the purpose
LONGEST_SENTENCE = 24  # words


def test_every_page_has_a_guide_or_needs_none() -> None:
    folders = {"web": HERE / "templates"} | {room.name: room.templates for room in web_modules()}
    pages = {
        f"{name}/{file.name}"
        for name, folder in folders.items()
        for file in (folder.glob("*.html") if folder else ())
        if re.search("<html|extends ", file.read_text(encoding="utf-8"))
    }
    assert Counter(guide.page for guide in GUIDES) == Counter(pages - NEED_NONE)
    assert pages >= NEED_NONE


def test_a_guide_is_registered_by_the_room_of_its_page() -> None:
    assert [
        guide.page
        for room in ROOMS
        for guide in room.guides
        if guide.page.split("/")[0] != room.name
    ] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.page))
def test_a_guide_is_short_and_in_plain_words(guide: Guide) -> None:
    lines = [*guide.steps, *guide.troubles]
    assert guide.steps, "what to do first"
    assert guide.troubles, "what can go wrong"
    counts = [sum(each.is_for(somebody(role)) for each in lines) for role in Role]
    assert 2 <= max(counts) <= LONGEST
    for text in (guide.purpose, *(each.text for each in lines)):
        for sentence in re.split(r"[.:;] ", text):
            assert len(sentence.split()) <= LONGEST_SENTENCE, sentence


def test_a_line_is_for_those_who_need_it() -> None:
    line = GuideLine("", without=AppealPermission.EDIT_APPEALS)
    assert line.is_for(somebody(Role.AUDITOR))
    assert not line.is_for(somebody(Role.HEAD))
    assert not GuideLine("", AppealPermission.EDIT_APPEALS).is_for(somebody(Role.AUDITOR))


def test_no_key_with_alt_means_two_things() -> None:
    """On whichever page: hands remember the key, and a call is lost by the other meaning."""
    pressed = Counter(
        key
        for room in ROOMS
        for file in (room.templates.glob("*.html") if room.templates else ())
        for key in re.findall('aria-keyshortcuts="(.+?)"', file.read_text(encoding="utf-8"))
    )
    meanings = {(each.key, each.action) for guide in GUIDES for each in guide.keys}
    assert len(pressed) > 20
    assert Counter(key for key, _ in meanings if key.startswith("Alt+")) == pressed
    assert set(pressed.values()) == {1}


def test_each_picture_is_there_small_and_shown() -> None:
    taken = {
        file.name: file.read_bytes()
        for room in ROOMS
        for file in (room.static.glob("guide-*") if room.static else ())
    }
    shown = {
        each.picture(language) for each in GUIDES if each.has_picture for language in LANGUAGES
    }
    assert set(taken) == shown
    assert len(shown) >= 15 * len(LANGUAGES)
    for name, content in taken.items():
        assert (content[:4], content[8:12]) == (b"RIFF", b"WEBP"), name
        assert len(content) <= LARGEST_PICTURE, name
    assert sum(map(len, taken.values())) <= LARGEST_OF_ALL


def somebody(role: Role) -> Actor:
    return Actor(User(uuid4(), role.value, "-", role, True, datetime.now(UTC)))
