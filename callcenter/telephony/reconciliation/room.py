"""The room that holds the register against CEL: what it registers."""

from redis.asyncio import Redis

from callcenter.platform.core.personal_data import Erasure, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.platform.storage.table_rights import TableRights
from callcenter.telephony.reconciliation.actions import ReconciliationAction
from callcenter.telephony.reconciliation.alerts import ALERTS
from callcenter.telephony.reconciliation.tables import (
    ledger_call,
    ledger_position,
    refused_call,
)


async def _hear_refusals(tools: WorkerResources, redis: Redis) -> None:
    """Register the calls that Asterisk refuses without a channel."""
    from callcenter.telephony.reconciliation.refusal_listener import RefusalListener

    await RefusalListener(tools.settings, tools.engine, redis).run()


ROOM = Room(
    name="reconciliation",
    jobs=("callcenter.telephony.reconciliation.jobs",),
    offers=(
        WorkerLoop("refused_calls", _hear_refusals),
        *ReconciliationAction,
        *ALERTS,
        PersonalData(
            ledger_call,
            ("call",),
            Erasure(
                "when the call is accounted for in the register",
                "callcenter.telephony.reconciliation.store:drop",
            ),
        ),
        TableRights(ledger_position, worker="siu"),
        TableRights(ledger_call, worker="siud"),
        TableRights(refused_call, worker="siu", web="s"),
    ),
)
