"""Deaths of telephones, for each test that asks for them."""

from functools import partialmethod

import pytest

from tests.flow.legs import FakeLeg
from tests.flow.telephone_deaths import DEATHS, die


@pytest.fixture(params=DEATHS)
def each_death(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the telephones that die do so in each way, one after another."""
    monkeypatch.setattr(FakeLeg, "die", partialmethod(die, request.param))
