"""Which failures a busy machine can cause: those of a limit that ran out."""

from collections.abc import Iterator
from types import TracebackType

#: Errors that say that a limit ran out, with those that are made of them. By name: who computes
#: loads neither browsers nor telephones.
LIMITS = {
    "builtins.TimeoutError",
    "callcenter.sipphone.errors.NoAnswer",
    "httpx.TimeoutException",
    "playwright._impl._errors.TimeoutError",
    "redis.exceptions.TimeoutError",
    "sqlalchemy.exc.TimeoutError",
    "subprocess.TimeoutExpired",
}
#: A part of the product that is away; for want of time, if its cause says so.
UNAVAILABLE = "callcenter.platform.core.errors.DependencyUnavailable"


def is_lateness(error: BaseException) -> bool:
    """Whether nothing but limits ran out: a wrong value beside one, or before it, is wrong."""
    if any(isinstance(each, AssertionError) and not _is_limit(each) for each in _before(error)):
        return False
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_lateness, error.exceptions))
    return _is_limit(error)


def _before(error: BaseException) -> Iterator[BaseException]:
    """What had failed already when this was raised, as in a block whose end fails too."""
    seen = {error}
    while (before := error.__context__) is not None and before not in seen:
        seen.add(error := before)
        yield before


def _is_limit(error: BaseException) -> bool:
    names = {f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__}
    if UNAVAILABLE in names and error.__cause__ is not None and _is_limit(error.__cause__):
        return True
    return bool(names & LIMITS) or _is_of_pytest_timeout(error) or _is_expectation(error)


def _is_of_pytest_timeout(error: BaseException) -> bool:
    return type(error).__name__ == "Failed" and str(error).startswith("Timeout (>")


def _is_expectation(error: BaseException) -> bool:
    """Whether `expect` of Playwright gave up: it looks again until its own limit."""
    module = _module_that_raised(error.__traceback__)
    found_too_much = "strict mode violation" in str(error)
    return module == "playwright._impl._assertions" and not found_too_much


def _module_that_raised(traceback: TracebackType | None) -> str:
    name = ""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return name
