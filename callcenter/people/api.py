"""People who sign in, in JSON below /api/v1: administered by the same rules as on the pages.

Passwords that are made are told once, and kept nowhere: these requests take no Idempotency-Key,
whose answers are kept. Lost the answer: make another password.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from callcenter.people import managing, store
from callcenter.people.managing import By
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission, Role
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["users"], dependencies=[needs(Permission.MANAGE_USERS)])

PAGE = 50


class User(BaseModel):
    """Somebody who signs in."""

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
    """A page of people."""

    users: list[User]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


class NewUser(BaseModel):
    """Somebody to add."""

    name: Annotated[
        str, Field(max_length=40, description="small Latin letters, digits, dots, dashes, _")
    ]
    role: Role


class NewPassword(BaseModel):
    """A password that was made; it is told this once."""

    name: str
    password: str


class Signature(BaseModel):
    """How somebody signs receipts."""

    full_name: Annotated[str, Field(max_length=200, description="surname and initials")]
    position: Annotated[str, Field(max_length=200)]


class Changes(BaseModel):
    """What to change; what is not here, or null, stays as it is."""

    role: Role | None = None
    active: bool | None = Field(None, description="false: shut out at once")
    extension: Annotated[
        str | None, Field(max_length=20, description="of a consultant; empty: none any more")
    ] = None
    signature: Signature | None = None
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
    """Everybody, by name; also who may not sign in any more."""
    async with unit_of_work(site.engine) as connection:
        found = await store.some(connection, after=cursor, limit=limit + 1)
    shown = found[:limit]
    return Users(
        users=[User.model_validate(each) for each in shown],
        next=shown[-1].name if len(found) > limit else None,
    )


@router.post("/api/v1/users", status_code=201)
async def add_user(
    site: CurrentSite, visit: CurrentVisit, response: Response, new: NewUser
) -> NewPassword:
    """Add somebody, with a password that is made here and told this once."""
    password, hashed = await managing.make_password()
    async with unit_of_work(site.engine) as connection:
        await managing.add(connection, By.visitor(visit), new.name, new.role, hashed)
    response.headers["Location"] = f"/api/v1/users/{new.name}"
    return NewPassword(name=new.name, password=password)


@router.get("/api/v1/users/{user}")
async def read_user(site: CurrentSite, user: str) -> User:
    """One person."""
    async with unit_of_work(site.engine) as connection:
        return User.model_validate(await store.find(connection, user))


@router.patch("/api/v1/users/{user}")
async def change_user(site: CurrentSite, visit: CurrentVisit, user: str, changes: Changes) -> User:
    """Change somebody, who is signed out: all of it, or nothing if a part is refused.

    Your own role, and whether you are let in, is changed by another administrator; one always
    stays (409).
    """
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        await _change(connection, By.visitor(visit), user, changes, site.settings.oidc_issuer)
        return User.model_validate(await store.find(connection, user))


@router.post("/api/v1/users/{user}/password")
async def set_password(site: CurrentSite, visit: CurrentVisit, user: str) -> NewPassword:
    """Give somebody a new password, which is made here and told this once."""
    password, hashed = await managing.make_password()
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        await managing.set_password(connection, By.visitor(visit), user, hashed)
    return NewPassword(name=user, password=password)


@router.delete("/api/v1/users/{user}/second-factor", status_code=204)
async def remove_second_factor(site: CurrentSite, visit: CurrentVisit, user: str) -> None:
    """Take somebody's second factor away (400: there is none): the telephone is lost, or new."""
    async with unit_of_work(site.engine) as connection:
        await store.find(connection, user)
        await managing.reset_second_factor(connection, By.visitor(visit), user)


async def _change(
    connection: AsyncConnection, by: By, name: str, changes: Changes, issuer: str | None
) -> None:
    if changes.role is not None:
        await managing.give_role(connection, by, name, changes.role)
    if changes.active is not None:
        await managing.set_active(connection, by, name, active=changes.active)
    if changes.extension is not None:
        await managing.link_consultant(connection, by, name, changes.extension.strip())
    if changes.signature is not None:
        said = changes.signature
        await managing.sign(connection, by, name, said.full_name, said.position)
    if changes.subject is not None:
        await managing.link_identity(connection, by, name, issuer, changes.subject.strip())
