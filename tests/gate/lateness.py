"""Which failures a busy machine can cause: those of a limit that ran out."""

import subprocess
from collections.abc import Callable
from types import TracebackType

import pytest


def is_lateness(error: BaseException) -> bool:
    """Whether nothing but limits ran out: a wrong value beside one is wrong."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_lateness, error.exceptions))
    return isinstance(error, _limits()) or any(is_one(error) for is_one in _LIMITS_WITHOUT_TYPE)


def _limits() -> tuple[type[BaseException], ...]:
    # Imported when something has failed: who computes needs none of them.
    import httpx
    from playwright.async_api import TimeoutError as PageTimeoutError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    from callcenter.sipphone.errors import NoAnswer

    return (
        TimeoutError,
        subprocess.TimeoutExpired,
        httpx.TimeoutException,
        PageTimeoutError,
        RedisTimeoutError,
        NoAnswer,
    )


def _is_of_pytest_timeout(error: BaseException) -> bool:
    return isinstance(error, pytest.fail.Exception) and str(error).startswith("Timeout (>")


def _is_expectation_of_page(error: BaseException) -> bool:
    """Whether `expect` of Playwright gave up: it looks again until its own limit."""
    raised_in = _last(error.__traceback__)
    return isinstance(error, AssertionError) and raised_in == "playwright._impl._assertions"


def _last(traceback: TracebackType | None) -> str:
    """The module in which it was raised."""
    name = ""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return name


_LIMITS_WITHOUT_TYPE: tuple[Callable[[BaseException], bool], ...] = (
    _is_of_pytest_timeout,
    _is_expectation_of_page,
)
