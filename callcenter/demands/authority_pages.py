"""Pages of the authority: file a demand, follow it, download its bundle, acknowledge it."""

from base64 import b64encode
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.demands import notices, queries, release, service
from callcenter.demands.bundle_builder import signing_key
from callcenter.demands.forms import LARGEST
from callcenter.demands.pages import SCRIPT, Sent, as_letter, bundle, register_form, show_list
from callcenter.demands.permissions import DemandPermission
from callcenter.demands.release import BundleUnavailable
from callcenter.demands.rules.signing import public_der, public_pem
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.security_middleware import policy
from callcenter.platform.web.templating import page

HOME = "/authority/demands"

router = APIRouter(include_in_schema=False, dependencies=[requires(DemandPermission.FILE_DEMANDS)])


@router.get("/authority/demands")
async def demands(request: Request, site: CurrentSite) -> Response:
    """The authority's own demands, and the form of a new one."""
    return await show_list(request, site, own=True)


@router.post("/authority/demands", max_body_size=LARGEST)
async def file(request: Request, site: CurrentSite, actor: CurrentActor) -> Response:
    """File a demand: it is registered, and arrives, now."""
    async with request.form() as form:
        filed = register_form(site, actor, form, by_authority=True)
        return await _step(request, site, filed, "demand")


@router.post("/authority/demands/{demand_number}/withdraw")
async def withdraw(sent: Sent) -> Response:
    await queries.check_own(sent.site.engine, sent.demand_number)
    return await _step(sent.request, sent.site, service.withdraw(*sent.by, sent.reason))


@router.post("/authority/demands/{demand_number}/acknowledge")
async def acknowledge(sent: Sent) -> Response:
    await queries.check_own(sent.site.engine, sent.demand_number)
    return await _step(sent.request, sent.site, release.acknowledge(*sent.by, sent.reason))


@router.post("/authority/demands/{demand_number}/download")
async def download(
    request: Request, site: CurrentSite, actor: CurrentActor, demand_number: str
) -> Response:
    """The encrypted bundle, given out once."""
    try:
        return await bundle(site, actor, demand_number, "download")
    except (InvalidRequest, BundleUnavailable) as error:
        return await show_list(request, site, error, "step", own=True)


@router.get("/authority/demands/{demand_number}/open")
async def open_bundle(request: Request, site: CurrentSite, demand_number: str) -> Response:
    """Open the bundle of a demand in the browser; what is opened stays there."""
    await queries.check_own(site.engine, demand_number)
    offer = await queries.find_offer(site.engine, demand_number, datetime.now(UTC))
    key = signing_key(site.settings)
    response = page(
        request,
        "demands/open_bundle.html",
        number=demand_number,
        offer=offer,
        center=b64encode(public_der(key)).decode(),
    )
    # What was opened is played from the browser's memory.
    response.headers["Content-Security-Policy"] = policy(media="blob:")
    return response


@router.get("/authority/demands/{demand_number}/letter")
async def letter(site: CurrentSite, actor: CurrentActor, demand_number: str) -> Response:
    """Our letter to the demand: the cover letter of the bundle, or the refusal."""
    await queries.check_own(site.engine, demand_number)
    return as_letter(
        await queries.letter(site.settings, site.engine, actor, demand_number), demand_number
    )


@router.post("/authority/keys")
async def add_key(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    recipient: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Add a public age key, to be confirmed by the center."""
    return await _step(request, site, release.add_key(site.engine, actor, recipient), "key")


@router.post("/authority/address")
async def save_address(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    address: Annotated[str, Form(max_length=330)] = "",
    language: Annotated[str, Form(max_length=2)] = "",
) -> Response:
    """Save where mail goes when something waits for this user; empty: nowhere."""
    saved = notices.save_address(site.engine, actor, address, language)
    return await _step(request, site, saved, "address")


@router.get("/authority/center.pem")
async def center_key(site: CurrentSite) -> Response:
    """The public key that the center signs with."""
    named = {"Content-Disposition": 'attachment; filename="center.pem"'}
    pem = public_pem(signing_key(site.settings))
    return Response(pem, media_type="application/x-pem-file", headers=named)


@router.get("/authority/verify_bundle.py")
async def verification_script() -> Response:
    """The script that verifies bundles, byte for byte as its SHA-256 is published."""
    named = {"Content-Disposition": 'attachment; filename="verify_bundle.py"'}
    return Response(SCRIPT, media_type="text/x-python", headers=named)


async def _step(
    request: Request,
    site: AppContext,
    call: Awaitable[object],
    what: Literal["demand", "key", "step", "address"] = "step",
) -> Response:
    """Carry out the step and redirect to the list, or show the list with the refusal."""
    return await action(
        call, HOME, lambda refusal: show_list(request, site, refusal, what, own=True)
    )
