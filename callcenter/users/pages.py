"""Pages of users, for administrators: the list, one user, and changes."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from callcenter.consultants import reference_lists
from callcenter.consultants import store as consultants
from callcenter.consultants.accounts import softphone_server
from callcenter.consultants.dependencies import CurrentScript, read_levels
from callcenter.consultants.labels import name_of
from callcenter.consultants.pages import SPOKEN
from callcenter.consultants.reference_lists import ListKind
from callcenter.consultants.rules.skills import HIGHEST, LOWEST
from callcenter.consultants.rules.teams import LONGEST
from callcenter.consultants.service import push_roster
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.approvals import REASON_LIMIT
from callcenter.platform.identity.invitations import link_of
from callcenter.platform.identity.permissions import Role, assignable_roles
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web import page_actions
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.form_fields import NO_NUL, Decision
from callcenter.platform.web.templating import page, typed_into
from callcenter.users import (
    people,
    second_factor_resets,
    second_factor_resets_store,
    service,
    store,
)
from callcenter.users.labels import ROLES, refusal_label
from callcenter.users.people import ConsultantDetails, PersonDetails, WrongField
from callcenter.users.permissions import UserPermission

router = APIRouter(include_in_schema=False, dependencies=[requires(UserPermission.MANAGE_USERS)])


class UserAction(StrEnum):
    """A change of a user, as in the path of its form."""

    DISABLE = "disable"
    ENABLE = "enable"
    SECOND_FACTOR = "second-factor"  #: ask another administrator to reset it
    IDENTITY = "identity"  #: the account at the organisation's sign-in


class TelephoneKind(StrEnum):
    """The kind of a consultant's telephone."""

    BROWSER = "browser"
    SOFTPHONE = "softphone"


class PersonForm(BaseModel):
    """A person as typed; the levels of skills are read beside it, for the center has its own."""

    role: Role = Role.CONSULTANT
    full_name: Annotated[str, Field(max_length=200)] = ""
    position: Annotated[str, Field(max_length=200)] = ""
    extension: Annotated[str, Field(max_length=20)] = ""
    speaks_kk: bool = False
    speaks_ru: bool = False
    team: Annotated[str, Field(max_length=200)] = ""
    telephone: TelephoneKind = TelephoneKind.BROWSER

    def details(self, levels: Mapping[str, int]) -> PersonDetails:
        """The details to save; without an extension the person takes no calls."""
        extension = self.extension.strip()
        spoken = {"kk": self.speaks_kk, "ru": self.speaks_ru}
        consultant = ConsultantDetails(
            extension=extension,
            languages=tuple(each for each in CALLER_LANGUAGES if spoken[each]),
            skills=levels,
            team=self.team,
            in_browser=self.telephone is TelephoneKind.BROWSER,
        )
        return PersonDetails(
            self.role,
            self.full_name.strip(),
            self.position.strip(),
            consultant if extension else None,
        )


class UserForm(BaseModel):
    """The fields of the other forms on the page of a user; each form sends its own."""

    subject: Annotated[str, Field(max_length=255)] = ""
    reason: Annotated[str, Field(max_length=REASON_LIMIT, pattern=NO_NUL)] = ""


@router.get("/users")
async def everyone(request: Request, site: CurrentSite) -> Response:
    """All users, and the form to add one."""
    return await _everyone(request, site)


@router.post("/users")
async def add(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    script: CurrentScript,
    form: Annotated[PersonForm, Form()],
) -> Response:
    """Add a person; the link by which to choose a password is shown this once."""
    typed = typed_into(request)
    name = typed["name"].strip().lower()

    async def call() -> tuple[str, datetime, str | None]:
        async with unit_of_work(site.engine) as connection:
            return await people.add(
                connection,
                actor,
                name,
                form.details(read_levels(typed)),
                site.settings.called_numbers,
            )

    async def show_link(added: tuple[str, datetime, str | None]) -> Response:
        token, until, password = added
        await push_roster(site.engine, script)
        return _once(request, site, name, (token, until), form.extension, password)

    return await page_actions.run_action(
        call(), show_link, lambda refusal: _everyone(request, site, refusal), reraise=()
    )


@router.get("/users/{user}")
async def one(request: Request, site: CurrentSite, user: str) -> Response:
    """Show one user."""
    return await _one(request, site, user)


@router.post("/users/{user}/password")
async def invite(request: Request, site: CurrentSite, actor: CurrentActor, user: str) -> Response:
    """Make another link by which to choose a password, which is shown this once."""
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        token, until = await service.invite(connection, actor, user)
    return _once(request, site, user, (token, until))


@router.post("/users/{user}/person")
async def save(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    script: CurrentScript,
    user: str,
    form: Annotated[PersonForm, Form()],
) -> Response:
    """Save what differs, or show the page again with the error."""
    levels = read_levels(typed_into(request))

    async def call() -> str | None:
        async with unit_of_work(site.engine) as connection:
            return await people.change(
                connection, actor, user, form.details(levels), site.settings.called_numbers
            )

    async def go_on(password: str | None) -> Response:
        await push_roster(site.engine, script)
        if password is None:
            return page_actions.redirect(f"/users/{user}")
        return _once(request, site, user, None, form.extension, password)

    return await page_actions.run_action(
        call(), go_on, lambda refusal: _one(request, site, user, refusal), reraise=()
    )


@router.post("/users/{user}/softphone")
async def softphone(
    request: Request, site: CurrentSite, actor: CurrentActor, user: str
) -> Response:
    """Give the person's softphone a new password, which is shown this once."""
    async with unit_of_work(site.engine) as connection:
        extension = (await store.find(connection, user)).extension
        if extension is not None:
            password = await people.give_softphone_password(connection, actor, extension)
            return _once(request, site, user, None, extension, password)
    return await _one(request, site, user, InvalidRequest(f"{user} takes no calls"))


@router.post("/users/{user}/second-factor/{reset_id}/decision")
async def decide_reset(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    user: str,
    reset_id: UUID,
    form: Annotated[Decision, Form()],
) -> Response:
    """Approve or refuse the reset that another administrator asked for."""
    return await page_actions.action(
        second_factor_resets.decide(
            site.engine, actor, reset_id, approve=form.approve, reason=form.reason
        ),
        f"/users/{user}",
        lambda refusal: _one(request, site, user, refusal),
    )


@router.post("/users/{user}/{action}")
async def change(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    user: str,
    action: UserAction,
    form: Annotated[UserForm, Form()],
) -> Response:
    """Apply one change, or show the page again with the error."""

    async def call() -> None:
        if action is UserAction.SECOND_FACTOR:
            await second_factor_resets.request(site.engine, actor, user, form.reason)
            return
        async with unit_of_work(site.engine) as connection:
            await store.find(connection, user)
            await _apply(connection, actor, user, action, form, site.settings.oidc_issuer)

    return await page_actions.action(
        call(), f"/users/{user}", lambda refusal: _one(request, site, user, refusal)
    )


async def _apply(
    connection: AsyncConnection,
    actor: Actor,
    user: str,
    action: UserAction,
    form: UserForm,
    issuer: str | None,
) -> None:
    match action:
        case UserAction.DISABLE | UserAction.ENABLE:
            is_active = action is UserAction.ENABLE
            await service.set_active(connection, actor, user, active=is_active)
        case UserAction.IDENTITY:
            await service.link_identity(connection, actor, user, issuer, form.subject.strip())


def _once(
    request: Request,
    site: AppContext,
    name: str,
    invitation: tuple[str, datetime] | None,
    extension: str = "",
    password: str | None = None,
) -> Response:
    """Show, this once, the link of an invitation and the password of a softphone."""
    token, until = invitation or ("", None)
    return page(
        request,
        "users/invitation.html",
        name=name,
        link=link_of(site.settings, token),
        until=until,
        extension=extension.strip(),
        password=password,
        server=softphone_server(site.settings, request.url.hostname or ""),
    )


async def _everyone(
    request: Request, site: AppContext, refusal: InvalidRequest | None = None
) -> Response:
    async with unit_of_work(site.engine) as connection:
        users = await store.everyone(connection)
        choices = await _choices(connection)
    return page(
        request,
        "users/users.html",
        status=200 if refusal is None else status_of(refusal),
        users=users,
        offered=assignable_roles(),
        demanding=site.demanding,
        **_refused(refusal),
        **choices,
    )


def _refused(refusal: InvalidRequest | None) -> dict[str, Any]:
    """Why nothing was changed, and beside which field that is said; none: above all."""
    field = refusal.field.value if isinstance(refusal, WrongField) else ""
    return {
        "refused": None if refusal is None else refusal_label(refusal),
        "wrong_field": field,
    }


async def _one(
    request: Request, site: AppContext, name: str, refusal: InvalidRequest | None = None
) -> Response:
    async with unit_of_work(site.engine) as connection:
        user = await store.find(connection, name)
        reset = await second_factor_resets_store.find_waiting(connection, name)
        choices = await _choices(connection)
        consultant = None
        if user.extension is not None:
            consultant = await consultants.find(connection, user.extension)
    return page(
        request,
        "users/user.html",
        status=200 if refusal is None else status_of(refusal),
        user=user,
        consultant=consultant,
        offered=dict.fromkeys((user.role, *assignable_roles())),
        by_provider=site.oidc is not None,
        reset=reset,
        **_refused(refusal),
        **choices,
    )


async def _choices(connection: AsyncConnection) -> dict[str, Any]:
    """The choices that the form of a person offers."""
    entries = await reference_lists.list_entries(connection, ListKind.SKILL)
    teams = {each.team for each in await consultants.everyone(connection) if each.team}
    return {
        "roles": ROLES,
        "skill_name": name_of,
        "skills": [entry for entry in entries if entry.active],
        "spoken": SPOKEN,
        "levels": range(LOWEST, HIGHEST + 1),
        "teams": sorted(teams),
        "longest_team": LONGEST,
    }
