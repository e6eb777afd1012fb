"""JSON API of users below /api/v1, with the same rules as the pages.

Generated passwords are returned once and never stored: these requests take no Idempotency-Key,
whose answers are stored. If the answer was lost, generate another password.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.approvals import REASON_LIMIT
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.users import second_factor_resets, second_factor_resets_store, service, store
from callcenter.users.permissions import UserPermission

router = APIRouter(tags=["users"], dependencies=[requires(UserPermission.MANAGE_USERS)])

PAGE = 50


class User(BaseModel):
    """A user."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    role: Role
    active: bool = Field(description="may sign in")
    has_factor: bool = Field(description="has set up a second factor")
    extension: str | None = Field(description="of the consultant who it is")
    team: str | None = Field(description="of that consultant")
    full_name: str | None = Field(description="surname and initials, which sign receipts")
    position: str | None
    subject: str | None = Field(description="who it is to the organisation's sign-in")


class Users(BaseModel):
    """A page of users."""

    users: list[User]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


class NewUser(BaseModel):
    """A user to add."""

    name: Annotated[
        str, Field(max_length=40, description="small Latin letters, digits, dots, dashes, _")
    ]
    role: Role


class NewPassword(BaseModel):
    """A generated password, returned this once."""

    name: str
    password: str


class ReceiptSignature(BaseModel):
    """A user's signature on receipts."""

    full_name: Annotated[str, Field(max_length=200, description="surname and initials")]
    position: Annotated[str, Field(max_length=200)]


class Changes(BaseModel):
    """Changes of a user; a missing or null field stays as it is."""

    role: Role | None = None
    active: bool | None = Field(None, description="false: shut out at once")
    extension: Annotated[
        str | None, Field(max_length=20, description="of a consultant; empty: none any more")
    ] = None
    signature: ReceiptSignature | None = None
    subject: Annotated[
        str | None,
        Field(
            max_length=255,
            description="who it is to the organisation's sign-in; empty: nobody any more",
        ),
    ] = None


@router.get("/api/v1/users")
async def list_users(
    site: CurrentSite,
    cursor: Annotated[str, Query(max_length=40, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE,
) -> Users:
    """All users by name, active or not."""
    async with unit_of_work(site.engine) as connection:
        found = await store.list_after(connection, cursor, limit=limit + 1)
    shown = found[:limit]
    return Users(
        users=[User.model_validate(each) for each in shown],
        next=shown[-1].name if len(found) > limit else None,
    )


@router.post("/api/v1/users", status_code=201)
async def add_user(
    site: CurrentSite, actor: CurrentActor, response: Response, new: NewUser
) -> NewPassword:
    """Add a user; the answer has the generated password, this once."""
    password, hashed = await service.make_password(site.passwords)
    async with unit_of_work(site.engine) as connection:
        await service.add(connection, actor, new.name, new.role, hashed)
    response.headers["Location"] = f"/api/v1/users/{new.name}"
    return NewPassword(name=new.name, password=password)


@router.get("/api/v1/users/{user}")
async def read_user(site: CurrentSite, user: str) -> User:
    """One user."""
    async with unit_of_work(site.engine) as connection:
        return User.model_validate(await store.find(connection, user))


@router.patch("/api/v1/users/{user}")
async def change_user(site: CurrentSite, actor: CurrentActor, user: str, changes: Changes) -> User:
    """Change a user, all of it or nothing; the user is signed out.

    Another administrator has to change your own role or disable you, and one administrator always
    stays (409).
    """
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        await _change(connection, actor, user, changes, site.settings.oidc_issuer)
        return User.model_validate(await store.find(connection, user))


@router.post("/api/v1/users/{user}/password")
async def set_password(site: CurrentSite, actor: CurrentActor, user: str) -> NewPassword:
    """Set a generated password, which is in the answer this once."""
    password, hashed = await service.make_password(site.passwords)
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        await service.set_password(connection, actor, user, hashed)
    return NewPassword(name=user, password=password)


@router.delete(
    "/api/v1/users/{user}/second-factor",
    status_code=204,
    responses={202: {"description": "asked for: another administrator has to do the same"}},
)
async def remove_second_factor(
    site: CurrentSite,
    actor: CurrentActor,
    user: str,
    reason: Annotated[
        str, Query(max_length=REASON_LIMIT, pattern=NO_NUL)
    ] = "the telephone is lost",
) -> Response:
    """Ask for the reset of a user's second factor, after loss of the telephone (202).

    When another administrator asked for it, it is gone now (204). 400: there is none.
    """
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        waiting = await second_factor_resets_store.find_waiting(connection, user)
    if waiting is None:
        await second_factor_resets.request(site.engine, actor, user, reason)
        return Response(status_code=202)
    await second_factor_resets.decide(site.engine, actor, waiting.id, approve=True, reason=reason)
    return Response(status_code=204)


async def _change(
    connection: AsyncConnection, by: Actor, name: str, changes: Changes, issuer: str | None
) -> None:
    if changes.role is not None:
        await service.give_role(connection, by, name, changes.role)
    if changes.active is not None:
        await service.set_active(connection, by, name, active=changes.active)
    if changes.extension is not None:
        await service.link_consultant(connection, by, name, changes.extension.strip())
    if changes.signature is not None:
        signature = changes.signature
        await service.set_signature(connection, by, name, signature.full_name, signature.position)
    if changes.subject is not None:
        await service.link_identity(connection, by, name, issuer, changes.subject.strip())
