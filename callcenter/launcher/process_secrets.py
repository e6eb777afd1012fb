"""Secrets of each process, by name: all of `var/secrets` that it reads."""

from callcenter.platform.storage.redis_users import RedisUser
from callcenter.telephony.acd.command_bus import CALL_ORDERS

#: Those that have fingerprints in the database.
OF_WEB = ("register", "register_search", "second_factor", "disclosures", CALL_ORDERS)
OF_WORKER = ("register", "register_search", "audit", "disclosures")


def secrets_of(process: str) -> tuple[str, ...]:
    """The secrets of the process of this name; any other than these is a controller."""
    match process:
        case "archiver":
            return ("audit", "database_postgres")
        case "portal":
            return ("database_portal",)
        case "web":
            return (*OF_WEB, "database_web", RedisUser.WEB.secret)
        case "worker":
            return (*OF_WORKER, "ami", "hep", "database_worker", RedisUser.WORKER.secret)
        case "watchdog":
            return ("ari", "ami", RedisUser.WATCHDOG.secret)
    return ("ari", "ami", CALL_ORDERS, "database_controller", RedisUser.CONTROLLER.secret)
