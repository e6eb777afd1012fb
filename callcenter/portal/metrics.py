"""Metrics of the portal: whether it could store what somebody writes now."""

import asyncio
import logging
from collections.abc import Mapping

from prometheus_client.core import Metric
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.metrics_server import gauge
from callcenter.portal import store
from callcenter.portal.sealing import read_sealing_key

log = logging.getLogger(__name__)


class PortalMetrics:
    """Needs of a message that is to be stored, as they are at the moment."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._engine = engine

    async def figures(self) -> list[Metric]:
        there = {name: float(is_there) for name, is_there in (await self.needs()).items()}
        return [gauge("portal_needs", "Whether what is needed to store is there.", there, "need")]

    async def needs(self) -> Mapping[str, bool]:
        """The functions of the database, and the key to seal to."""
        return {"postgresql": await self._may_store(), "key": await self._has_key()}

    async def _may_store(self) -> bool:
        try:
            return await store.may_receive(self._engine)
        except (OperationFailed, SQLAlchemyError, OSError) as exc:
            log.error("nothing can be stored: %s", type(exc).__name__)
            return False

    async def _has_key(self) -> bool:
        try:
            await asyncio.to_thread(read_sealing_key, self._settings)
        except OperationFailed as exc:
            log.error("nothing can be sealed: %s", exc)
            return False
        return True
