"""Pages of the authority: to demand, see how it stands, take what is released, acknowledge."""

from collections.abc import Awaitable
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.audit.heads import key_from
from callcenter.demands import deeds, reading, releasing
from callcenter.demands.forms import LARGEST, read_filing
from callcenter.demands.pages import SEE_OTHER, Sent, as_letter, bundle, show_list
from callcenter.demands.releasing import Away
from callcenter.demands.signing import SECRET, public_pem
from callcenter.errors import AskedWrongly
from callcenter.secrets import read_secret
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Site

HOME = "/authority/demands"

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.FILE_DEMANDS)])


@router.get("/authority/demands")
async def demands(request: Request, site: CurrentSite) -> Response:
    """The authority's own demands, and the form of another one."""
    return await show_list(request, site, own=True)


@router.post("/authority/demands", max_body_size=LARGEST)
async def file(request: Request, site: CurrentSite, visit: CurrentVisit) -> Response:
    """File a demand: it is registered, and arrives, now."""
    async with request.form() as form:
        try:
            filing = await read_filing(form, by_authority=True)
            await deeds.register(site.engine, visit, filing)
        except AskedWrongly as error:
            return await show_list(request, site, error, "demand", own=True)
    return RedirectResponse(HOME, SEE_OTHER)


@router.post("/authority/demands/{demand_number}/withdraw")
async def withdraw(sent: Sent) -> Response:
    await reading.own(sent.site.engine, sent.demand_number)
    return await _step(sent.request, sent.site, deeds.withdraw(*sent.by, sent.reason))


@router.post("/authority/demands/{demand_number}/acknowledge")
async def acknowledge(sent: Sent) -> Response:
    await reading.own(sent.site.engine, sent.demand_number)
    return await _step(sent.request, sent.site, releasing.acknowledge(*sent.by, sent.reason))


@router.post("/authority/demands/{demand_number}/download")
async def download(
    request: Request, site: CurrentSite, visit: CurrentVisit, demand_number: str
) -> Response:
    """The encrypted bundle: once."""
    try:
        return await bundle(site, visit, demand_number, "download")
    except (AskedWrongly, Away) as error:
        return await show_list(request, site, error, "step", own=True)


@router.get("/authority/demands/{demand_number}/letter")
async def letter(site: CurrentSite, visit: CurrentVisit, demand_number: str) -> Response:
    """Our letter to the demand: what is in the bundle as well, or why it is refused."""
    await reading.own(site.engine, demand_number)
    return as_letter(await reading.letter(site, visit, demand_number), demand_number)


@router.post("/authority/keys")
async def add_key(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    recipient: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Add a public key of age, to be confirmed by the center."""
    return await _step(request, site, releasing.add_key(site.engine, visit, recipient), "key")


@router.get("/authority/center.pem")
async def center_key(site: CurrentSite) -> Response:
    """The public key that the center signs with."""
    key = key_from(read_secret(site.settings.secrets_folder, SECRET), SECRET)
    named = {"Content-Disposition": 'attachment; filename="center.pem"'}
    return Response(public_pem(key), media_type="application/x-pem-file", headers=named)


async def _step(
    request: Request,
    site: Site,
    deed: Awaitable[None],
    what: Literal["key", "step"] = "step",
) -> Response:
    """Do it, and show the list as it is then; or say that it was refused."""
    try:
        await deed
    except AskedWrongly as error:
        return await show_list(request, site, error, what, own=True)
    return RedirectResponse(HOME, SEE_OTHER)
