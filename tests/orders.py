"""Orders for calls with the secret that every copy of the tests has."""

from collections.abc import Awaitable, Callable, Mapping

from redis.asyncio import Redis

from callcenter.telephony.acd.command_bus import CALL_ORDERS, CommandClient, CommandServer
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand
from callcenter.telephony.acd.rules.order_proof import OrderKeys, OrderRefusal
from tests.services import secret_of

KEYS = OrderKeys(CALL_ORDERS, [secret_of(CALL_ORDERS)])


def command_client(redis: Redis) -> CommandClient:
    """What the pages and controllers send orders with."""
    return CommandClient(redis, KEYS)


def command_server(
    redis: Redis,
    controller: str,
    handle: Callable[[str, CallCommand], Awaitable[Answer]],
    accepts_new: Callable[[], bool] | None = None,
) -> CommandServer:
    """What a controller carries orders out with; of those that it refuses nothing is written."""
    return CommandServer(redis, controller, KEYS, handle, _forget, accepts_new)


async def _forget(why: OrderRefusal, proven: Mapping[str, str]) -> None:
    """Of a refused order only the log tells."""
