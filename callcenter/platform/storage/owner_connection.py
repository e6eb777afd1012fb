"""A connection of the database's owner, for what is done to the server itself. It blocks."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import InsufficientPrivilege

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unreachable


@contextmanager
def owner_connection(
    settings: Settings, *, unprivileged: str, autocommit: bool = False
) -> Iterator[psycopg.Connection]:
    """Connect as the owner, for one transaction unless `autocommit`.

    Raises DependencyUnavailable when the database cannot be reached within 5 seconds, and
    InvalidRequest, whose words are `unprivileged`, when the owner may not do it.
    """
    try:
        with psycopg.connect(
            settings.database, autocommit=autocommit, connect_timeout=5
        ) as connection:
            yield connection
    except InsufficientPrivilege as exc:
        raise InvalidRequest(unprivileged) from exc
    except psycopg.OperationalError as exc:
        raise unreachable(exc) from exc
