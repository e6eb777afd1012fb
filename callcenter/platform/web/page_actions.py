"""Actions of pages: a form calls a service, then redirects or shows its page again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.responses import RedirectResponse, Response

from callcenter.platform.core.errors import CallcenterError, InvalidRequest, NotFound

SEE_OTHER = 303  # RFC 9110, 15.4.4: the result of a form is another page, to be read by GET

Result = TypeVar("Result")
Refusals = tuple[tuple[type[CallcenterError], str], ...]


async def action(
    call: Awaitable[Result],
    then: str | Callable[[Result], str],
    show: Callable[[InvalidRequest], Awaitable[Response]],
    *,
    reraise: tuple[type[InvalidRequest], ...] = (NotFound,),
) -> Response:
    """Await a service call and redirect to `then`, an address or one made of the result.

    A refusal is shown on the page by `show`, with the status of an error; one of `reraise` is
    raised, as other errors are: its page would not say what to do.
    """
    try:
        result = await call
    except reraise:
        raise
    except InvalidRequest as refusal:
        return await show(refusal)
    return RedirectResponse(then if isinstance(then, str) else then(result), SEE_OTHER)


def words_for(refusal: CallcenterError, refusals: Refusals) -> str:
    """The words of a page for a refusal: of the first family that it is of."""
    return next(words for family, words in refusals if isinstance(refusal, family))
