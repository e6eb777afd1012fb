"""Asks a server of this machine whether it answers."""

from http import HTTPStatus

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout

ANSWER_LIMIT = 5.0  # seconds until all of it is there, however slowly it comes


async def http_status(address: str, port: int, path: str, host: str | None = None) -> int | None:
    """The status of its answer to GET; None: nobody is there.

    Who is there and gives no answer in time is 504, as a gateway says it. `host` is the name that
    it answers to, where it is not the address.
    """
    limit, headers = ClientTimeout(total=ANSWER_LIMIT), {"Host": host or address}
    url = f"http://{address}:{port}{path}"
    try:
        async with (
            ClientSession(timeout=limit, headers=headers) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return answer.status
    except ClientConnectorError:
        return None
    except (ClientError, TimeoutError, OSError):
        return HTTPStatus.GATEWAY_TIMEOUT
