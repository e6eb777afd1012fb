"""The telephone in the page of work: what it signs in to Asterisk with, for whose page it is."""

from urllib.parse import urlsplit

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.consultants import store
from callcenter.consultants.accounts import REALM
from callcenter.consultants.api import own_extension
from callcenter.errors import AskedWrongly
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.edge import policy
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.OWN_DUTY)])


class NotInBrowser(AskedWrongly):
    """Your telephone is a softphone, not the page of work."""


class Account(BaseModel):
    """All that the telephone needs. `ha1` opens it: it is shown nowhere and kept nowhere."""

    url: str = Field(description="Asterisk's WebSocket")
    extension: str
    realm: str
    ha1: str = Field(description="MD5(extension:realm:password), RFC 2617")


@router.get("/duty/telephone")
async def account(site: CurrentSite, visit: CurrentVisit) -> Account:
    """What your own telephone signs in with."""
    extension = await own_extension(site, visit)
    async with unit_of_work(site.engine) as connection:
        own = await store.find(connection, extension)
    if not (own.in_browser and own.active):
        raise NotInBrowser
    return Account(url=site.settings.telephone, extension=extension, realm=REALM, ha1=own.digest)


def allow(settings: Settings, response: Response) -> None:
    """Let the page reach Asterisk and the microphone, as no other page may."""
    parts = urlsplit(settings.telephone)
    response.headers["Content-Security-Policy"] = policy(f"{parts.scheme}://{parts.netloc}")
    response.headers["Permissions-Policy"] = "camera=(), microphone=(self), geolocation=()"
