"""The cookie of a browser in which somebody signed in before."""

from starlette.requests import Request
from starlette.responses import Response

from callcenter.platform.identity import recognized_devices, store
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.context import device_cookie, is_secure, site_of, visitor_of


async def remember(request: Request, response: Response, session: str) -> None:
    """Have this browser be known from now on for the user of the session that has begun."""
    async with unit_of_work(site_of(request).engine) as connection:
        user = await store.user_of_session(connection, session)
        if user is None:
            return
        token = await recognized_devices.remember(connection, visitor_of(request).device, user.id)
    response.set_cookie(
        device_cookie(request),
        token,
        max_age=int(recognized_devices.LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )
