"""Asks a server of this machine whether it answers."""

from http.client import HTTPConnection, HTTPException

ANSWER_LIMIT = 5.0  # seconds


def http_status(address: str, port: int, path: str, host: str | None = None) -> int | None:
    """The status of its answer to GET; None: nobody answers. Blocks.

    `host` is the name that it answers to, where it is not the address.
    """
    connection = HTTPConnection(address, port, timeout=ANSWER_LIMIT)
    try:
        connection.request("GET", path, headers={"Host": host or address})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
