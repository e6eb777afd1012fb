"""Posts JSON to a program outside, as a messenger's gateway."""

import asyncio
from collections.abc import Mapping

import aiohttp

from callcenter.platform.core.errors import DependencyUnavailable

POST_TIMEOUT = 10.0  # seconds


async def post_json(url: str, content: Mapping[str, object]) -> None:
    """Post JSON to a URL; it has taken it on when this returns. No redirect is followed.

    Raises DependencyUnavailable, which does not repeat the URL: it may hold a secret.
    """
    try:
        async with (
            asyncio.timeout(POST_TIMEOUT),
            aiohttp.ClientSession() as session,
            session.post(url, json=content, allow_redirects=False) as answer,
        ):
            if not answer.ok or answer.status >= 300:
                raise DependencyUnavailable(f"webhook answers {answer.status}")
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        raise DependencyUnavailable(f"webhook not reached: {type(exc).__name__}") from exc
