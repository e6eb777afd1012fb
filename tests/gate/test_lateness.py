"""What counts as a limit that ran out."""

import asyncio
import subprocess

import pytest

from callcenter.sipphone.errors import CallOver, NoAnswer
from tests.gate.lateness import is_lateness
from tests.polling import NotInTime, require_within, until


@pytest.mark.parametrize(
    "error",
    [
        NotInTime("not within 30 s: the caller hears kk/greeting"),
        TimeoutError(),
        NoAnswer("no response to INVITE"),
        subprocess.TimeoutExpired("asterisk", 10),
        ExceptionGroup("of tasks", [TimeoutError(), ExceptionGroup("more", [TimeoutError()])]),
    ],
)
def test_limits_that_ran_out_are_lateness(error: BaseException) -> None:
    assert is_lateness(error)


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("assert 201 == 202"),
        CallOver("the call was over: CANCEL"),
        KeyError("recording"),
        ExceptionGroup("of tasks", [TimeoutError(), AssertionError()]),
        pytest.fail.Exception("DID NOT RAISE"),
    ],
)
def test_wrong_values_are_no_lateness(error: BaseException) -> None:
    assert not is_lateness(error)


async def test_waiting_in_vain_and_late_figures_are_lateness() -> None:
    async def never() -> bool:
        return False

    for waiting in (until(never, "it", 0.01), until(lambda: False, limit=0.01)):
        with pytest.raises(NotInTime, match=r"not within 0\.01 s"):
            await waiting
    with pytest.raises(NotInTime, match="silence"):
        require_within(0.2, 0.1, "silence")
    require_within(0.05, 0.1, "silence")
    await until(lambda: asyncio.sleep(0, True))
