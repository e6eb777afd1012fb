"""Rights of each process in Redis: the least commands and keys that it works with.

They are rules of Redis's access lists (acl), by which the commands of scripts are judged too.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from callcenter.platform.core.secrets import make_secret, read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import REDIS
from callcenter.platform.storage.redis_users import RedisUser

#: What clients do at each connection, and around commands.
CONNECTION = "ping select client|setinfo multi exec info time"
#: `distributor.lua` with its parts, which moves whoever has a place in it: all or nothing.
DISTRIBUTOR = """
    evalsha script|load keys get set del exists expire rpush lrem xadd
    hget hset hsetnx hdel hexists hkeys hgetall hincrby
    zadd zrem zscore zrange zcount zremrangebyscore sadd srem sismember smembers scard
"""
ALERTS = "exists set hsetnx hlen lpush ltrim hincrby"
CLOSING = "del hmget hdel lrange lrem"  # of alerts
ORDERS = "hget rpush expire blpop zrange"

#: Commands of each process.
COMMANDS = {
    RedisUser.CONTROLLER: f"{CONNECTION} {DISTRIBUTOR} {ALERTS} {ORDERS} blmpop",
    RedisUser.WATCHDOG: f"{CONNECTION} {DISTRIBUTOR} blmpop",
    # Pages read what waits, watch presence, raise and acknowledge alerts, and order.
    RedisUser.WEB: f"{CONNECTION} {DISTRIBUTOR} {ALERTS} {ORDERS} {CLOSING} xread",
    # The worker moves nobody: it saves presence changes, measures, alerts and escalates.
    RedisUser.WORKER: (
        f"{CONNECTION} {ALERTS} {CLOSING} hkeys hgetall hset zcard xread xrange xdel"
    ),
}
#: Keys of each process, with %R to read and %W to write them alone. A mailbox is read by whom it is
#: of; alerts are all that the watchdog's scripts do not touch.
KEYS = {
    RedisUser.CONTROLLER: ("~desk:* ~call:where:* ~orders:line-* ~orders:anybody ~orders:answer:*"),
    RedisUser.WATCHDOG: "~desk:[^a]* ~desk:asked ~desk:after",
    RedisUser.WEB: "~desk:* %W~orders:line-* %W~orders:anybody ~orders:answer:*",
    RedisUser.WORKER: "~desk:changes ~desk:alarm* %R~desk:waiting %R~desk:idle",
}
#: Of people's commands, and of a process of the version before: not to watch the commands of
#: others, to empty Redis or to configure it.
PEOPLE = "~desk:* ~orders:* ~call:* &* +@all -@dangerous +keys +info +config|get +acl|getuser"


def rules(user: RedisUser) -> str:
    """The rules of a user."""
    commands = " ".join(f"+{command}" for command in sorted(set(COMMANDS[user].split())))
    return f"{KEYS[user]} -@all {commands}"


def has_rules(user: RedisUser, found: Mapping[str, Any] | None) -> bool:
    """Whether a user is there and has these rules; `found` is what ACL GETUSER says of it."""
    parts = ("categories", "commands", "keys")
    return found is not None and {rule for part in parts for rule in found[part]} == set(
        rules(user).split()
    )


def user_lines(settings: Settings) -> list[str]:
    """The lines of the users of all processes, for an ACL file, without passwords.

    Makes those that are missing. Raises OperationFailed.
    """
    return [_line(settings, user, user.secret, rules(user)) for user in RedisUser]


def people_line(settings: Settings) -> str:
    """The line of the user of people's commands. As `user_lines`."""
    return _line(settings, "default", REDIS, PEOPLE)


def _line(settings: Settings, user: str, secret: str, allowed: str) -> str:
    make_secret(settings.secrets_folder, secret)
    password = read_secret(settings.secrets_folder, secret)
    return f"user {user} on #{hashlib.sha256(password.encode()).hexdigest()} {allowed}"
