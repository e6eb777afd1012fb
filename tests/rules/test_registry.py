"""Rooms register themselves in one place, and lower rooms find there what higher ones offer."""

from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path

import pytest

import callcenter
from callcenter.bootstrap.rooms import ROOMS
from callcenter.bootstrap.web import web_modules
from callcenter.platform.audit.actions import Action
from callcenter.platform.core import registry
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.registry import Room, offers, register_rooms, registered_rooms
from callcenter.platform.identity.permissions import Permission, Role
from callcenter.platform.monitoring.alerts import AlertKind

PACKAGE = Path(callcenter.__file__).parent


@dataclass(frozen=True)
class Dish:
    """An extension point of this test."""

    name: str


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of one's own."""
    monkeypatch.setattr(registry, "registered", [])


@pytest.mark.usefixtures("rooms")
def test_offers_are_found_by_class_in_order_of_rooms() -> None:
    register_rooms([Room("a", offers=(Dish("soup"), "word")), Room("b", offers=(Dish("bread"),))])
    assert offers(Dish) == (Dish("soup"), Dish("bread"))
    assert offers(str) == ("word",)
    assert offers(int) == ()


@pytest.mark.usefixtures("rooms")
def test_without_registered_rooms_nothing_is_left_out_silently() -> None:
    with pytest.raises(OperationFailed, match="no rooms"):
        offers(Dish)


@pytest.mark.usefixtures("rooms")
@pytest.mark.parametrize(
    "twins",
    [
        (Room("a"), Room("a")),
        (Room("a", offers=("a.play",)), Room("b", offers=("a.play",))),
        (Room("a", offers=(AlertKind("rain", "It rains."), AlertKind("rain", "Take a hat."))),),
    ],
)
def test_a_name_or_word_that_is_taken_is_refused(twins: tuple[Room, ...]) -> None:
    with pytest.raises(OperationFailed):
        register_rooms(twins)


def test_every_room_file_is_registered() -> None:
    files = {
        f"callcenter.{'.'.join(p.relative_to(PACKAGE).with_suffix('').parts)}"
        for p in PACKAGE.rglob("room.py")
    }
    assert {import_module(name).ROOM.name for name in files} == {room.name for room in ROOMS}
    assert registered_rooms() == ROOMS


def test_every_web_module_is_registered() -> None:
    files = {
        f"callcenter.{'.'.join(p.relative_to(PACKAGE).with_suffix('').parts)}"
        for p in PACKAGE.rglob("web_module.py")
    }
    assert files == {room.web for room in ROOMS} - {None}


def test_every_module_of_jobs_is_registered() -> None:
    files = {
        f"callcenter.{'.'.join(p.relative_to(PACKAGE).with_suffix('').parts)}"
        for p in PACKAGE.rglob("jobs.py")
        if "@jobs.task" in p.read_text(encoding="utf-8")
    }
    named = {module for room in ROOMS for module in room.jobs}
    # That of the storage is imported by everything that has jobs.
    assert files - {"callcenter.platform.storage.jobs"} <= named


def test_a_class_of_words_with_one_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="OTHER -> ONE"):

        class Permissions(Permission):
            ONE = "twins.one", Role.HEAD
            OTHER = "twins.one", Role.AUDITOR

    with pytest.raises(ValueError, match="OTHER -> ONE"):

        class Actions(Action):
            ONE = "web:twins:made", "Twins made"
            OTHER = "web:twins:made", "Other twins made"


@pytest.mark.parametrize("point", [Permission, Action])
def test_every_permission_and_action_is_registered(point: type[StrEnum]) -> None:
    files = ("permissions.py", "actions.py")
    for path in (path for name in files for path in PACKAGE.rglob(name)):
        import_module(f"callcenter.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}")
    declared = [
        word
        for each in point.__subclasses__()
        if each.__module__.startswith("callcenter.")
        for word in each
    ]
    assert sorted(declared) == sorted(offers(point))


def test_no_lower_room_holds_grants_or_actions_of_another() -> None:
    """The base classes have no members: whoever adds a room adds none to them."""
    assert list(Permission) == []
    assert list(Action) == []


def test_every_template_folder_is_registered() -> None:
    folders = {path for path in PACKAGE.rglob("templates") if "node_modules" not in path.parts}
    for apart in ("platform/web", "portal"):  # the toolkit's own, and those of another process
        folders.discard(PACKAGE / apart / "templates")
    assert {module.templates for module in web_modules()} - {None} == folders
