"""Redis users of the processes: each logs in as its own, with its own password.

A password is a secret. What a user may do is `launcher.redis_rights`.
"""

from enum import StrEnum
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import without_credentials


class RedisUser(StrEnum):
    """User that a process logs in as. Commands of people use that of the settings."""

    CONTROLLER = "callcenter_controller"
    WORKER = "callcenter_worker"
    WEB = "callcenter_web"
    WATCHDOG = "callcenter_watchdog"

    @property
    def secret(self) -> str:
        """The name of the secret that is its password."""
        return self.replace("callcenter", "redis")


def as_redis_user(settings: Settings, user: RedisUser) -> Settings:
    """The settings of a process that logs in to Redis as this user.

    They stay as they are where this process has no password of the user: it was given the URL of
    the user, or a server of the operator's own has no users yet, and `callcenter check` says so.
    Raises InvalidRequest for a secret that is open to others.
    """
    try:
        password = read_secret(settings.secrets_folder, user.secret)
    except OperationFailed:
        return settings
    place = urlsplit(without_credentials(settings.redis))
    ours = place._replace(netloc=f"{user}:{quote(password, safe='')}@{place.netloc}")
    return settings.model_copy(update={"redis_url": SecretStr(ours.geturl())})
