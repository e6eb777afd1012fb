"""Numbers at which a state body is called at once, and the bodies that have one."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from callcenter.bodies.rules.competence import Competence
from callcenter.bodies.rules.directory import Body, ContactMethod, Directory
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.timezone import ZONE

#: The officer on duty answers at any hour; a telephone for callers may be an office.
CALLED = (ContactMethod.DUTY, ContactMethod.TELEPHONE)


MayCall = Callable[[str], bool]  #: whether the line calls a number, in E.164 or short


def list_numbers(body: Body, now: datetime, may_call: MayCall) -> list[str]:
    """Numbers of a body, in E.164 or short, as they are tried: none that has failed."""
    usable = body.usable(now)
    found = (
        parse_caller_id(contact.value).number
        for method in CALLED
        for contact in usable
        if contact.method is method
    )
    return list(dict.fromkeys(number for number in found if number and may_call(number)))


def order_numbers(numbers: Sequence[str], tried: Sequence[str]) -> list[str]:
    """The numbers to call now: those never tried first, then by when each was tried last."""
    last = {each: place for place, each in enumerate(tried)}
    return sorted(numbers, key=lambda each: last.get(each, -1))


def choose_bodies(
    directory: Directory, competences: Iterable[Competence], now: datetime, may_call: MayCall
) -> list[Body]:
    """Bodies that may be called at once: who is competent first, then commissioners."""
    found = list(competences)
    competent = [body for each in found for body in (*each.bodies, *each.named)]
    beside = [body for each in found for body in each.commissioners]
    return list_callable(directory, (*competent, *beside), now, may_call)


def list_callable(
    directory: Directory, bodies: Iterable[Body], now: datetime, may_call: MayCall
) -> list[Body]:
    """These bodies, the nearest one above that has a number in the place of one without."""
    nearest = (_find_nearest(directory, body, now, may_call) for body in bodies)
    return list(dict.fromkeys(body for body in nearest if body is not None))


def _find_nearest(
    directory: Directory, body: Body, now: datetime, may_call: MayCall
) -> Body | None:
    today = now.astimezone(ZONE).date()
    for each in (body, *directory.parents(body)):
        if each.is_in_force(today) and list_numbers(each, now, may_call):
            return each
    return None
