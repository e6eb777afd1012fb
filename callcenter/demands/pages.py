"""Pages of demands for the records officer and the head: the register, one demand, its steps."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from callcenter.appeals.callers import mask
from callcenter.demands import authorities, deeds, reading, releasing, wording
from callcenter.demands.forms import LARGEST, read_filing
from callcenter.demands.matching import cautions
from callcenter.demands.releasing import Away
from callcenter.demands.states import PREPARING, RUNNING, Ground, State
from callcenter.errors import AskedWrongly
from callcenter.storage.objects import Objects
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit
from callcenter.web.words import length

TEMPLATES = Path(__file__).parent / "templates"
SEE_OTHER = 303
HANDLING = [needs(Permission.HANDLE_DEMANDS)]
RELEASING = [needs(Permission.RELEASE_DEMANDS)]

Version = Annotated[int, Form()]
Why = Annotated[str, Form(max_length=4000)]


@dataclass(frozen=True)
class Step:
    """A form that takes a demand further, and who sent it; `by` is what each deed begins with."""

    request: Request
    site: CurrentSite
    visit: CurrentVisit
    demand_number: str
    version: Version
    reason: Why = ""

    @property
    def by(self) -> tuple[AsyncEngine, Visit, str, int]:
        return self.site.engine, self.visit, self.demand_number, self.version


Sent = Annotated[Step, Depends()]

router = APIRouter(include_in_schema=False)


@router.get("/demands", dependencies=HANDLING)
async def demands(request: Request, site: CurrentSite) -> Response:
    """Those whose time runs, the first due at first; then the newest others; the keys."""
    return await show_list(request, site)


@router.post("/demands", dependencies=HANDLING, max_body_size=LARGEST)
async def register(request: Request, site: CurrentSite, visit: CurrentVisit) -> Response:
    """Register a demand; what was typed wrongly is said beside the form."""
    async with request.form() as form:
        try:
            filing = await read_filing(form, by_authority=False)
            row = await deeds.register(site.engine, visit, filing)
        except AskedWrongly as error:
            return await show_list(request, site, error, "demand")
    return RedirectResponse(f"/demands/{row.number}", SEE_OTHER)


@router.get("/demands/{demand_number}", dependencies=HANDLING)
async def demand(
    request: Request, site: CurrentSite, visit: CurrentVisit, demand_number: str
) -> Response:
    """One demand; that it was looked at is in the audit log before it is shown."""
    return await _show(request, site, visit, demand_number)


@router.get("/demands/{demand_number}/scan", dependencies=HANDLING)
async def scan(site: CurrentSite, visit: CurrentVisit, demand_number: str) -> Response:
    """The scan of the letter, to be kept or looked at elsewhere."""
    found = await reading.scan(site.engine, visit, demand_number)
    ending = found.media_type.rpartition("/")[2]
    named = f'attachment; filename="{demand_number}.{ending}"'
    return Response(
        found.content, media_type=found.media_type, headers={"Content-Disposition": named}
    )


@router.get("/demands/{demand_number}/letter", dependencies=HANDLING)
async def letter(site: CurrentSite, visit: CurrentVisit, demand_number: str) -> Response:
    """Our letter, to be printed and signed: what goes with a carrier, or a refusal."""
    return as_letter(await reading.letter(site, visit, demand_number), demand_number)


@router.post("/demands/{demand_number}/search", dependencies=HANDLING)
async def search(sent: Sent) -> Response:
    deed = deeds.search(*sent.by)
    return await _step(sent, deed)


@router.post("/demands/{demand_number}/check", dependencies=HANDLING)
async def check(
    sent: Sent,
    chosen: Annotated[list[UUID] | None, Form()] = None,
) -> Response:
    """Choose what is to be handed over."""
    deed = deeds.check(*sent.by, chosen or [], sent.reason)
    return await _step(sent, deed)


@router.post("/demands/{demand_number}/withdraw", dependencies=HANDLING)
async def withdraw(sent: Sent) -> Response:
    deed = deeds.withdraw(*sent.by, sent.reason)
    return await _step(sent, deed)


@router.post("/demands/{demand_number}/acknowledge", dependencies=HANDLING)
async def acknowledge(sent: Sent) -> Response:
    """Note an acknowledgement that came by letter."""
    deed = releasing.acknowledge(*sent.by, sent.reason)
    return await _step(sent, deed)


@router.post("/demands/{demand_number}/carrier", dependencies=HANDLING)
async def carrier(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    demand_number: str,
    reason: Why = "",
) -> Response:
    """The encrypted bundle, to be put on a carrier, once; `reason` is which, and who takes it."""
    try:
        return await bundle(site, visit, demand_number, "carrier", reason)
    except (AskedWrongly, Away) as error:
        return await _show(request, site, visit, demand_number, error)


@router.post("/demands/{demand_number}/return", dependencies=RELEASING)
async def return_to_check(sent: Sent) -> Response:
    deed = deeds.return_to_check(*sent.by, sent.reason)
    return await _step(sent, deed)


@router.post("/demands/{demand_number}/refuse", dependencies=RELEASING)
async def refuse(sent: Sent, ground: Annotated[Ground, Form()]) -> Response:
    deed = deeds.refuse(*sent.by, ground, sent.reason)
    return await _step(sent, deed)


@router.post("/demands/{demand_number}/hold", dependencies=RELEASING)
async def end_hold(sent: Sent) -> Response:
    """Let retention propose its recordings again."""
    deed = deeds.end_hold(*sent.by, sent.reason)
    return await _step(sent, deed)


@router.post("/demands/{demand_number}/release", dependencies=RELEASING)
async def release(
    sent: Sent, key_id: Annotated[UUID, Form()], again: Annotated[bool, Form()] = False
) -> Response:
    """Let go what somebody else prepared, or offer it again."""
    deed = releasing.release(*sent.by, key_id, sent.reason, again=again)
    return await _step(sent, deed)


@router.post("/demand-keys", dependencies=HANDLING)
async def add_key(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    recipient: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Add a key that came by letter, to be confirmed by another."""
    try:
        await releasing.add_key(site.engine, visit, recipient)
    except AskedWrongly as error:
        return await show_list(request, site, error, "key")
    return RedirectResponse("/demands", SEE_OTHER)


@router.post("/demand-keys/{key_id}/confirm", dependencies=RELEASING)
async def confirm_key(site: CurrentSite, visit: CurrentVisit, key_id: UUID) -> Response:
    await releasing.confirm_key(site.engine, visit, key_id)
    return RedirectResponse("/demands", SEE_OTHER)


@router.post("/demand-keys/{key_id}/revoke", dependencies=RELEASING)
async def revoke_key(site: CurrentSite, visit: CurrentVisit, key_id: UUID) -> Response:
    await releasing.revoke_key(site.engine, visit, key_id)
    return RedirectResponse("/demands", SEE_OTHER)


async def bundle(site: Site, visit: Visit, number: str, by: str, note: str = "") -> Response:
    """The bundle as a file, streamed from the store; it counts as taken from now on.

    Raises Away, and as `releasing.hand_out` does.
    """
    store = Objects(site.settings.store)
    await releasing.must_be_there(site.engine, store, number)
    row = await releasing.hand_out(site.engine, visit, number, by, note)
    headers = {
        "Content-Disposition": f'attachment; filename="{number}.tar.age"',
        "Content-Length": str(row.bytes),
    }
    pieces = store.stream(row.object_name)
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


def as_letter(content: bytes, number: str) -> Response:
    """A letter as a file."""
    named = f'attachment; filename="{number}.pdf"'
    return Response(content, media_type="application/pdf", headers={"Content-Disposition": named})


async def show_list(
    request: Request,
    site: Site,
    error: AskedWrongly | Away | None = None,
    refused: Literal["demand", "key", "step", ""] = "",
    *,
    own: bool = False,
) -> Response:
    """The register, or what the authority sees of it, with the form of a demand.

    `refused` is what was asked for when there was an error.
    """
    now = datetime.now(UTC)
    register = await reading.register(site.engine, own=own)
    rows = [*register.running, *register.others]
    offers = await reading.newest_offers(site.engine, rows) if own else {}
    return page(
        request,
        "demands/authority.html" if own else "demands/demands.html",
        status=400 if error else 200,
        register=register,
        problem=wording.refusal(error) if error else None,
        refused=refused,
        offered={
            row.number
            for row in rows
            if releasing.is_offered(row, offers.get(row.number), "download", now)
        },
        standing=lambda row: reading.how_it_stands(row, now).value,
        words=wording,
        in_english=authorities.in_english(),
        State=State,
        RUNNING=RUNNING,
    )


async def _step(sent: Step, deed: Awaitable[None]) -> Response:
    """Do it, and show the demand as it is then; or say why it was refused."""
    try:
        await deed
    except AskedWrongly as error:
        return await _show(sent.request, sent.site, sent.visit, sent.demand_number, error)
    return RedirectResponse(f"/demands/{sent.demand_number}", SEE_OTHER)


async def _show(
    request: Request,
    site: Site,
    visit: Visit,
    number: str,
    error: AskedWrongly | Away | None = None,
) -> Response:
    viewed = await reading.view(site.engine, visit, number, by="page")
    now = datetime.now(UTC)
    return page(
        request,
        "demands/demand.html",
        status=400 if error else 200,
        viewed=viewed,
        row=viewed.row,
        problem=wording.refusal(error) if error else None,
        standing=reading.how_it_stands(viewed.row, now).value,
        may_take=releasing.is_offered(viewed.row, viewed.offered, "carrier", now),
        prepared=visit.who in viewed.preparers,
        cautions=lambda match: cautions(match.candidate),
        words=wording,
        mask=mask,
        length=length,
        in_english=authorities.in_english(),
        State=State,
        RUNNING=RUNNING,
        PREPARING=PREPARING,
    )
