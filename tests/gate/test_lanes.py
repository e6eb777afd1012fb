"""Which tests run beside which."""

import re
from pathlib import Path

import pytest

from callcenter.settings import ROOT
from tests.gate.lanes import ALONE, COMPUTE, PHONES, WITH_PHONES, lane_of
from tests.gate.rooms import UnknownRoomError, files_of, rooms

TESTS = ROOT / "tests"
#: What a test imports to telephone, to listen to an Asterisk or to browse.
TELEPHONES = re.compile(
    r"^from (callcenter\.demo\.phone|tests\.(asterisk\.switch|browser\.|calls\.house)|playwright)",
    re.M,
)


def test_lanes_are_told_by_folder_file_and_mark() -> None:
    assert lane_of(Path("web/test_search.py"), alone=False) is COMPUTE
    assert lane_of(Path("calls/test_waiting.py"), alone=False) is PHONES
    assert lane_of(Path("rendered/test_boot.py"), alone=False) is PHONES
    assert lane_of(Path("rendered/test_render.py"), alone=False) is COMPUTE
    assert lane_of(Path("calls/test_storm.py"), alone=True) is ALONE


def test_what_is_named_as_telephoning_exists() -> None:
    assert [name for name in sorted(WITH_PHONES) if not (TESTS / name).exists()] == []


def test_nothing_telephones_beside_what_computes() -> None:
    computing = (
        file
        for file in TESTS.glob("**/test_*.py")
        if lane_of(file.relative_to(TESTS), alone="mark.alone" in file.read_text()) is COMPUTE
    )
    assert [str(file) for file in computing if TELEPHONES.search(file.read_text())] == []


def test_a_room_has_its_folder_its_names_and_what_imports_it() -> None:
    found = {str(file) for file in files_of(ROOT, "demands")}
    assert "tests/demands/test_disclosing.py" in found  # the folder
    assert "tests/web/test_demands.py" in found  # the name
    assert "tests/rules/test_callers.py" not in found
    assert {str(file) for file in files_of(ROOT, "gate")} >= {"tests/gate/test_lanes.py"}


def test_an_unknown_room_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownRoomError, match=r"no room 'demand' .*; rooms: .*demands"):
        files_of(ROOT, "demand")
    assert {"web", "calls", "recordings"} <= rooms(ROOT)
