"""Browser softphone of the workspace page: its SIP account and permission headers."""

from urllib.parse import urlsplit

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.consultants import store
from callcenter.consultants.accounts import REALM
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.service import find_own_extension
from callcenter.platform.core.errors import InvalidRequest, SignInNeeded
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.store import hash_of
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite, token_cookie
from callcenter.platform.web.security_middleware import policy

router = APIRouter(include_in_schema=False, dependencies=[requires(ConsultantPermission.OWN_DUTY)])


class NotInBrowser(InvalidRequest):
    """Your telephone is a softphone, not the page of work."""


class SoftphoneAccount(BaseModel):
    """SIP account of the browser softphone. `ha1` is a secret: never show, log or store it."""

    url: str = Field(description="Asterisk's WebSocket")
    extension: str
    realm: str
    ha1: str = Field(
        description="MD5(extension:realm:password), RFC 2617; it ends with the session"
    )


@router.get("/workspace/telephone")
async def account(request: Request, site: CurrentSite, actor: CurrentActor) -> SoftphoneAccount:
    """The SIP account of your own telephone, for this session; Asterisk has it in a moment."""
    extension = await find_own_extension(site.engine, actor)
    async with unit_of_work(site.engine) as connection:
        own = await store.find(connection, extension)
        if not (own.in_browser and own.active):
            raise NotInBrowser
        session = hash_of(request.cookies[token_cookie(request)])
        ha1 = await store.issue_browser_secret(connection, own, session)
    if ha1 is None:
        raise SignInNeeded
    return SoftphoneAccount(url=site.settings.telephone, extension=extension, realm=REALM, ha1=ha1)


def allow_softphone(settings: Settings, response: Response) -> None:
    """Set the headers that permit this page to reach Asterisk and the microphone."""
    parts = urlsplit(settings.telephone)
    response.headers["Content-Security-Policy"] = policy(f"{parts.scheme}://{parts.netloc}")
    response.headers["Permissions-Policy"] = "camera=(), microphone=(self), geolocation=()"
