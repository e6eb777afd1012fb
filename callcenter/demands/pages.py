"""Pages of demands for the records officer and the head: the list, one demand, its steps."""

import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.demands import labels, notices, queries, service, verify_bundle
from callcenter.demands import release as demands_release
from callcenter.demands.bundle_builder import signing_key
from callcenter.demands.forms import LARGEST, read_form
from callcenter.demands.permissions import DemandPermission
from callcenter.demands.release import BundleUnavailable
from callcenter.demands.rules import authorities
from callcenter.demands.rules.matching import cautions
from callcenter.demands.rules.signing import fingerprint
from callcenter.demands.rules.states import PREPARING, RUNNING, RefusalGround
from callcenter.demands.store import DemandRow
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.i18n import length
from callcenter.platform.core.working_calendar import YearNotEntered
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.objects import Objects
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, read_actor
from callcenter.platform.web.page_actions import action, run_action
from callcenter.platform.web.templating import page
from callcenter.working_calendar.store import read_calendar

HANDLING = [requires(DemandPermission.HANDLE_DEMANDS)]
RELEASING = [requires(DemandPermission.RELEASE_DEMANDS)]

#: The script that the authority verifies bundles with.
SCRIPT = Path(verify_bundle.__file__).read_bytes()

Version = Annotated[int, Form()]
Why = Annotated[str, Form(max_length=4000)]


@dataclass(frozen=True)
class StepForm:
    """The form of a step with its sender; `by` are the first arguments of each service call."""

    request: Request
    site: CurrentSite
    actor: CurrentActor
    demand_number: str
    version: Version
    reason: Why = ""

    @property
    def by(self) -> tuple[AsyncEngine, Actor, str, int]:
        return self.site.engine, self.actor, self.demand_number, self.version


Sent = Annotated[StepForm, Depends()]

router = APIRouter(include_in_schema=False)


@router.get("/demands", dependencies=HANDLING)
async def demands(request: Request, site: CurrentSite) -> Response:
    """Running demands, the first due at first; then the newest others; the keys."""
    return await show_list(request, site)


@router.post("/demands", dependencies=HANDLING, max_body_size=LARGEST)
async def register(request: Request, site: CurrentSite, actor: CurrentActor) -> Response:
    """Register a demand; an invalid form is shown again with its problem."""
    async with request.form() as form:
        return await action(
            register_form(site, actor, form, by_authority=False),
            lambda row: f"/demands/{row.number}",
            lambda refusal: show_list(request, site, refusal, "demand"),
        )


@router.get("/demands/{demand_number}", dependencies=HANDLING)
async def demand(
    request: Request, site: CurrentSite, actor: CurrentActor, demand_number: str
) -> Response:
    """One demand; reading it adds an entry to the audit log before it is shown."""
    return await _show(request, site, actor, demand_number)


@router.post("/demands/{demand_number}/number", dependencies=HANDLING)
async def show_number(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    demand_number: str,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)],
) -> Response:
    """Show the demand with its caller's number whole; the reason is in the audit log."""
    return await run_action(
        service.show_number(site.engine, actor, demand_number, reason),
        lambda number: _show(request, site, actor, demand_number, caller_number=number),
        lambda refusal: _show(request, site, actor, demand_number, refusal),
    )


@router.get("/demands/{demand_number}/scan", dependencies=HANDLING)
async def scan(site: CurrentSite, actor: CurrentActor, demand_number: str) -> Response:
    """The scan of the letter as a file."""
    found = await queries.scan(site.engine, actor, demand_number)
    ending = found.media_type.rpartition("/")[2]
    named = f'attachment; filename="{demand_number}.{ending}"'
    return Response(
        found.content, media_type=found.media_type, headers={"Content-Disposition": named}
    )


@router.get("/demands/{demand_number}/letter", dependencies=HANDLING)
async def letter(site: CurrentSite, actor: CurrentActor, demand_number: str) -> Response:
    """Our letter to be printed and signed: the cover letter of a carrier, or a refusal."""
    return as_letter(
        await queries.letter(site.settings, site.engine, actor, demand_number), demand_number
    )


@router.post("/demands/{demand_number}/search", dependencies=HANDLING)
async def search(sent: Sent) -> Response:
    return await _step(sent, service.search(*sent.by))


@router.post("/demands/{demand_number}/check", dependencies=HANDLING)
async def check(
    sent: Sent,
    chosen: Annotated[list[UUID] | None, Form()] = None,
) -> Response:
    """Choose the recordings to be handed over."""
    return await _step(sent, service.check(*sent.by, chosen or [], sent.reason))


@router.post("/demands/{demand_number}/withdraw", dependencies=HANDLING)
async def withdraw(sent: Sent) -> Response:
    return await _step(sent, service.withdraw(*sent.by, sent.reason))


@router.post("/demands/{demand_number}/acknowledge", dependencies=HANDLING)
async def acknowledge(sent: Sent) -> Response:
    """Note an acknowledgement that came by letter."""
    return await _step(sent, demands_release.acknowledge(*sent.by, sent.reason))


@router.post("/demands/{demand_number}/carrier", dependencies=HANDLING)
async def carrier(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    demand_number: str,
    reason: Why = "",
) -> Response:
    """The encrypted bundle for a carrier, given out once; `reason` names it and its taker."""
    try:
        return await bundle(site, actor, demand_number, "carrier", reason)
    except (InvalidRequest, BundleUnavailable) as error:
        return await _show(request, site, actor, demand_number, error)


@router.post("/demands/{demand_number}/return", dependencies=RELEASING)
async def return_to_check(sent: Sent) -> Response:
    return await _step(sent, service.return_to_check(*sent.by, sent.reason))


@router.post("/demands/{demand_number}/refuse", dependencies=RELEASING)
async def refuse(sent: Sent, ground: Annotated[RefusalGround, Form()]) -> Response:
    return await _step(sent, service.refuse(*sent.by, ground, sent.reason))


@router.post("/demands/{demand_number}/hold", dependencies=RELEASING)
async def end_hold(sent: Sent) -> Response:
    """End the legal hold of its recordings."""
    return await _step(sent, service.end_hold(*sent.by, sent.reason))


@router.post("/demands/{demand_number}/release", dependencies=RELEASING)
async def release(
    sent: Sent, key_id: Annotated[UUID, Form()], again: Annotated[bool, Form()] = False
) -> Response:
    """Release a demand that another person prepared, or offer its bundle again."""
    return await _step(sent, demands_release.release(*sent.by, key_id, sent.reason, again=again))


@router.post("/demand-keys", dependencies=HANDLING)
async def add_key(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    recipient: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Add a key that came by letter, to be confirmed by another."""
    return await action(
        demands_release.add_key(site.engine, actor, recipient),
        "/demands",
        lambda refusal: show_list(request, site, refusal, "key"),
    )


@router.post("/demand-keys/{key_id}/confirm", dependencies=RELEASING)
async def confirm_key(
    request: Request, site: CurrentSite, actor: CurrentActor, key_id: UUID
) -> Response:
    return await _change_key(request, site, demands_release.confirm_key(site.engine, actor, key_id))


@router.post("/demand-keys/{key_id}/revoke", dependencies=RELEASING)
async def revoke_key(
    request: Request, site: CurrentSite, actor: CurrentActor, key_id: UUID
) -> Response:
    return await _change_key(request, site, demands_release.revoke_key(site.engine, actor, key_id))


async def _change_key(request: Request, site: AppContext, call: Awaitable[None]) -> Response:
    """Change a key and show the list, or show it with the refusal."""
    return await action(
        call, "/demands", lambda refusal: show_list(request, site, refusal, "step"), reraise=()
    )


async def bundle(site: AppContext, actor: Actor, number: str, by: str, note: str = "") -> Response:
    """The bundle as a file, streamed from the store; it counts as taken from now on.

    Raises BundleUnavailable, and as `release.hand_out` does.
    """
    store = Objects(site.settings.store)
    await demands_release.check_bundle_stored(site.engine, store, number)
    row = await demands_release.hand_out(site.engine, actor, number, by, note)
    headers = {
        "Content-Disposition": f'attachment; filename="{number}.tar.age"',
        "Content-Length": str(row.bytes),
    }
    pieces = store.stream(row.object_name)
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


async def register_form(
    site: AppContext, actor: Actor, form: FormData, *, by_authority: bool
) -> DemandRow:
    """Register the demand of a form with its scan. Raises InvalidRequest."""
    scan = form.get("scan")
    content = await scan.read() if isinstance(scan, UploadFile) else b""
    async with unit_of_work(site.engine) as connection:
        calendar = await read_calendar(connection)
    complete = read_form(form, content, calendar, by_authority=by_authority)
    return await service.register(site.engine, actor, complete)


def as_letter(content: bytes, number: str) -> Response:
    """A letter as a file."""
    named = f'attachment; filename="{number}.pdf"'
    return Response(content, media_type="application/pdf", headers={"Content-Disposition": named})


async def show_list(
    request: Request,
    site: AppContext,
    error: InvalidRequest | BundleUnavailable | None = None,
    refused: Literal["demand", "key", "step", "address", ""] = "",
    *,
    own: bool = False,
) -> Response:
    """The list of demands, or the authority's view of it, with the form of a demand.

    `refused` names the refused action when there was an error.
    """
    now = datetime.now(UTC)
    register = await queries.register(site.engine, own=own)
    rows = [*register.running, *register.others]
    offers = await queries.newest_offers(site.engine, rows) if own else {}
    return page(
        request,
        "demands/authority.html" if own else "demands/demands.html",
        status=400 if error else 200,
        register=register,
        problem=labels.refusal(error) if error else None,
        refused=refused,
        year_not_entered=error.year if isinstance(error, YearNotEntered) else None,
        offered={
            row.number
            for row in rows
            if demands_release.is_offered(row, offers.get(row.number), "download", now)
        },
        being_made={
            row.number: offers[row.number]
            for row in rows
            if demands_release.is_being_made(row, offers.get(row.number))
        },
        deadline_status=lambda row: queries.deadline_status(row, now).value,
        words=labels,
        in_english=authorities.in_english(),
        RUNNING=RUNNING,
        notices_go_to=await notices.read_address(site.engine, await read_actor(request))
        if own
        else None,
        key_sha256=fingerprint(signing_key(site.settings)) if own else None,
        script_sha256=hashlib.sha256(SCRIPT).hexdigest() if own else None,
    )


async def _step(sent: StepForm, call: Awaitable[None]) -> Response:
    """Carry out the step and show the demand, or show it with the refusal."""
    return await action(
        call,
        f"/demands/{sent.demand_number}",
        lambda refusal: _show(sent.request, sent.site, sent.actor, sent.demand_number, refusal),
    )


async def _show(
    request: Request,
    site: AppContext,
    actor: Actor,
    number: str,
    error: InvalidRequest | BundleUnavailable | None = None,
    caller_number: str | None = None,
) -> Response:
    viewed = await queries.view(site.engine, actor, number, by="page")
    now = datetime.now(UTC)
    return page(
        request,
        "demands/demand.html",
        status=400 if error else 200,
        viewed=viewed,
        row=viewed.row,
        caller_number=caller_number,
        problem=labels.refusal(error) if error else None,
        deadline_status=queries.deadline_status(viewed.row, now).value,
        may_take=demands_release.is_offered(viewed.row, viewed.offered, "carrier", now),
        being_made=demands_release.is_being_made(viewed.row, viewed.offered),
        prepared=actor.who in viewed.preparers,
        cautions=lambda match: cautions(match.candidate),
        words=labels,
        mask=mask,
        length=length,
        in_english=authorities.in_english(),
        RUNNING=RUNNING,
        PREPARING=PREPARING,
    )
