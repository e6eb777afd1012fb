"""Actions of pages: a form calls a service; its result or its refusal makes the answer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.responses import RedirectResponse, Response

from callcenter.platform.core.errors import (
    N_,
    CallcenterError,
    Forbidden,
    InvalidRequest,
    NotFound,
)

SEE_OTHER = 303  # RFC 9110, 15.4.4: the result of a form is another page, to be read by GET

Result = TypeVar("Result")
Refusals = tuple[tuple[type[CallcenterError], str], ...]

#: The words for NotFound of what a form is about: somebody was quicker.
DECIDED_MEANWHILE = N_("Somebody has decided on it meanwhile: look at it as it is now.")


async def run_action(
    call: Awaitable[Result],
    done: Callable[[Result], Awaitable[Response]],
    show: Callable[[InvalidRequest], Awaitable[Response]],
    *,
    reraise: tuple[type[InvalidRequest], ...] = (NotFound,),
) -> Response:
    """Await a service call and answer with `done` of its result.

    A refusal is shown on the page by `show`, with the status of an error and with what was typed;
    one of `reraise` is raised, as other errors are: its page would not say what to do. So is
    Forbidden, which has its entry in the audit log where errors are rendered.
    """
    raised: tuple[type[InvalidRequest], ...] = (Forbidden, *reraise)
    try:
        result = await call
    except raised:
        raise
    except InvalidRequest as refusal:
        return await show(refusal)
    return await done(result)


async def action(
    call: Awaitable[Result],
    then: str | Callable[[Result], str],
    show: Callable[[InvalidRequest], Awaitable[Response]],
    *,
    reraise: tuple[type[InvalidRequest], ...] = (NotFound,),
) -> Response:
    """Run an action and redirect to `then`, an address or one made of the result."""

    async def go_on(result: Result) -> Response:
        return redirect(then if isinstance(then, str) else then(result))

    return await run_action(call, go_on, show, reraise=reraise)


def redirect(address: str) -> Response:
    """Lead the browser from a form to the page of its result."""
    return RedirectResponse(address, SEE_OTHER)


def words_for(refusal: CallcenterError, refusals: Refusals) -> str:
    """The words of a page for a refusal: of the first family that it is of."""
    return next(words for family, words in refusals if isinstance(refusal, family))
