"""Calls and wishes about calls, for somebody at the pages or the API."""

from collections.abc import Mapping

from callcenter.appeals import outgoing, store
from callcenter.appeals.number import parse
from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.consultants.api import own_extension
from callcenter.consultants.dispatch import Dispatch
from callcenter.consultants.orders import Answer, Order
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit

CALL = "call"  #: the order that begins a call


async def call(
    site: Site, visit: Visit, *, number: str | None, appeal: str | None, despite_wish: bool
) -> Answer:
    """Have the consultant's own softphone rung and then the number, or the caller of the appeal.

    Returns at once with the id of the call and the number of its appeal. Raises AskedWrongly that
    says why there is no call, DeskClosed and WeFailed when a part of ours is away.
    """
    if number is None and appeal is None:
        raise AskedWrongly("say which number to call, or whose appeal it is about")
    extension = await own_extension(site, visit)
    detail = {"extension": extension, "number": number, "appeal": appeal}
    given: Mapping[str, str] = {key: value for key, value in detail.items() if value is not None}
    if despite_wish:
        given = {**given, "despite_wish": "yes"}
    return await Dispatch(site.redis).to_a_controller(Order(CALL, visit.who, given, extension))


async def want_no_calls(site: Site, visit: Visit, number: str, *, unwanted: bool) -> None:
    """Note that the caller of an appeal asked not to be called, or may be called again.

    Raises NotFound when there is no such appeal, AskedWrongly when its caller gave no number.
    """
    async with unit_of_work(site.engine) as connection:
        row = await store.find(connection, parse(number))
        if row is None:
            raise NotFound("there is no appeal with this number")
        if row.caller_number is None:
            raise AskedWrongly("the caller of this appeal gave no number")
        await outgoing.want_no_calls(
            connection, row.caller_number, unwanted=unwanted, author=visit.who
        )
        await record(
            connection,
            who=visit.who,
            action=Action.CALLS_UNWANTED,
            subject=f"appeal:{row.number}",
            detail={"unwanted": unwanted},
            from_address=visit.address,
        )
