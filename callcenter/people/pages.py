"""Pages of people who sign in: who there is, and what administrators change about them."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import N_, AskedWrongly
from callcenter.people import managing, store
from callcenter.people.managing import By, LastAdministrator, Own
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound, status_of
from callcenter.web.permissions import Permission, Role
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site

TEMPLATES = Path(__file__).parent / "templates"
SEE_OTHER = 303

ROLES = {
    Role.CONSULTANT: N_("Consultant"),
    Role.SENIOR: N_("Senior consultant"),
    Role.RECORDS_OFFICER: N_("Records officer"),
    Role.HEAD: N_("Head"),
    Role.KNOWLEDGE_EDITOR: N_("Knowledge editor"),
    Role.AUTHORITY: N_("Authority"),
    Role.STATE_BODY: N_("State body"),
    Role.ADMINISTRATOR: N_("Administrator"),
    Role.AUDITOR: N_("Auditor"),
}
REFUSED: dict[type[AskedWrongly], str] = {
    Own: N_("Somebody else has to change your own role, or shut you out."),
    LastAdministrator: N_("There would be no administrator left. Add another one first."),
}
OTHERWISE = N_("Nothing was changed: what was typed is wrong, or belongs to somebody else.")

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.MANAGE_USERS)])


class Deed(StrEnum):
    """What is changed."""

    ROLE = "role"
    DISABLE = "disable"
    ENABLE = "enable"
    SECOND_FACTOR = "second-factor"  #: taken away
    CONSULTANT = "consultant"
    SIGNATURE = "signature"
    IDENTITY = "identity"  #: who it is to the organisation's sign-in


@router.get("/users")
async def everyone(request: Request, site: CurrentSite) -> Response:
    """Everybody, and the form to add somebody."""
    return await _everyone(request, site)


@router.post("/users")
async def add(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    name: Annotated[str, Form(max_length=200)] = "",
    role: Annotated[Role, Form()] = Role.CONSULTANT,
) -> Response:
    """Add somebody; the password that was made is shown this once."""
    password, hashed = await managing.make_password()
    name = name.strip().lower()
    try:
        async with unit_of_work(site.engine) as connection:
            await managing.add(connection, By.visitor(visit), name, role, hashed)
    except AskedWrongly as refusal:
        return await _everyone(request, site, refusal)
    return page(request, "people/password.html", name=name, password=password)


@router.get("/users/{user}")
async def one(request: Request, site: CurrentSite, user: str) -> Response:
    """One person."""
    return await _one(request, site, user)


@router.post("/users/{user}/password")
async def password(request: Request, site: CurrentSite, visit: CurrentVisit, user: str) -> Response:
    """Make a new password, which is shown this once."""
    made, hashed = await managing.make_password()
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        await managing.set_password(connection, By.visitor(visit), user, hashed)
    return page(request, "people/password.html", name=user, password=made)


@router.post("/users/{user}/{deed}")
async def change(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    user: str,
    deed: Deed,
    role: Annotated[Role, Form()] = Role.CONSULTANT,
    extension: Annotated[str, Form(max_length=20)] = "",
    full_name: Annotated[str, Form(max_length=200)] = "",
    position: Annotated[str, Form(max_length=200)] = "",
    subject: Annotated[str, Form(max_length=255)] = "",
) -> Response:
    """Change one thing; what cannot be is said on the page."""
    by, issuer = By.visitor(visit), site.settings.oidc_issuer
    deeds: dict[Deed, Callable[[AsyncConnection], Awaitable[None]]] = {
        Deed.ROLE: lambda c: managing.give_role(c, by, user, role),
        Deed.DISABLE: lambda c: managing.set_active(c, by, user, active=False),
        Deed.ENABLE: lambda c: managing.set_active(c, by, user, active=True),
        Deed.SECOND_FACTOR: lambda c: managing.reset_second_factor(c, by, user),
        Deed.CONSULTANT: lambda c: managing.link_consultant(c, by, user, extension.strip()),
        Deed.SIGNATURE: lambda c: managing.sign(c, by, user, full_name, position),
        Deed.IDENTITY: lambda c: managing.link_identity(c, by, user, issuer, subject.strip()),
    }
    try:
        async with unit_of_work(site.engine) as connection:
            await store.find(connection, user)
            await deeds[deed](connection)
    except NotFound:
        raise
    except AskedWrongly as refusal:
        return await _one(request, site, user, refusal)
    return RedirectResponse(f"/users/{user}", SEE_OTHER)


async def _everyone(request: Request, site: Site, refusal: AskedWrongly | None = None) -> Response:
    async with unit_of_work(site.engine) as connection:
        people = await store.everyone(connection)
    return page(
        request,
        "people/users.html",
        status=200 if refusal is None else status_of(refusal),
        people=people,
        roles=ROLES,
        demanding=site.demanding,
        refused=refusal is not None,
    )


async def _one(
    request: Request, site: Site, name: str, refusal: AskedWrongly | None = None
) -> Response:
    async with unit_of_work(site.engine) as connection:
        person = await store.find(connection, name)
    return page(
        request,
        "people/user.html",
        status=200 if refusal is None else status_of(refusal),
        person=person,
        roles=ROLES,
        by_provider=site.by_provider is not None,
        refused=None if refusal is None else REFUSED.get(type(refusal), OTHERWISE),
    )
