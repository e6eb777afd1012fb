"""Which tests run beside which."""

import re
from pathlib import Path

from callcenter.platform.core.settings import ROOT
from tests.gate.lanes import ALONE, COMPUTE, PHONES, WITH_PHONES, lane_of

TESTS = ROOT / "tests"
#: What a test imports to telephone, to listen to an Asterisk or to browse.
TELEPHONES = re.compile(
    r"^from (callcenter\.sipphone\.phone|playwright"
    r"|tests\.(asterisk\.switch|browser\.chromium|calls\.call_center))",
    re.M,
)


def test_a_lane_follows_from_folder_file_and_mark() -> None:
    assert lane_of(Path("web/test_search.py"), alone=False) is COMPUTE
    assert lane_of(Path("calls/test_waiting.py"), alone=False) is PHONES
    assert lane_of(Path("rendered/test_boot.py"), alone=False) is PHONES
    assert lane_of(Path("rendered/test_render.py"), alone=False) is COMPUTE
    assert lane_of(Path("calls/test_storm.py"), alone=True) is ALONE


def test_what_is_named_as_telephoning_exists() -> None:
    assert [name for name in sorted(WITH_PHONES) if not (TESTS / name).exists()] == []


def test_what_telephones_is_in_no_idle_lane() -> None:
    computing = (
        file
        for file in TESTS.glob("**/test_*.py")
        if lane_of(file.relative_to(TESTS), alone="mark.alone" in file.read_text()) is COMPUTE
    )
    assert [str(file) for file in computing if TELEPHONES.search(file.read_text())] == []
