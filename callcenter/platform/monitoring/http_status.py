"""Asks a server of this machine whether it answers."""

from aiohttp import ClientError, ClientSession, ClientTimeout

ANSWER_LIMIT = 5.0  # seconds until all of it is there, however slowly it comes


async def http_status(address: str, port: int, path: str, host: str | None = None) -> int | None:
    """The status of its answer to GET; None: nobody answers in time.

    `host` is the name that it answers to, where it is not the address.
    """
    limit, headers = ClientTimeout(total=ANSWER_LIMIT), {"Host": host or address}
    url = f"http://{address}:{port}{path}"
    try:
        async with (
            ClientSession(timeout=limit, headers=headers) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return answer.status
    except (ClientError, TimeoutError, OSError):
        return None
