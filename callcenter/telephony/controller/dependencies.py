"""Dependencies that the services of one controller share."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.status.lookup import SqlAppealStatusLookup
from callcenter.platform.core.settings import Settings
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.asterisk.switch import AsteriskSwitch
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.ports import Sounds
from callcenter.telephony.controller.active_calls import ActiveCalls
from callcenter.telephony.controller.call_state_store import RedisCallStateStore
from callcenter.telephony.controller.caller_cache import CallerCache


@dataclass(frozen=True, slots=True)
class CallDependencies:
    """Made once per controller, and given to each service that handles calls."""

    settings: Settings  #: limits and time-outs of calls
    instance: str  #: the unique name of this run of the controller
    engine: AsyncEngine
    switch: AsteriskSwitch
    distributor: RedisCallDistributor
    queue: RedisQueueMonitor
    journal: Journal
    prompts: Sounds
    call_states: RedisCallStateStore
    status_lookup: SqlAppealStatusLookup
    callers: CallerCache
    active_calls: ActiveCalls
