"""The room of the authority's demands: what it registers."""

from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.demands.actions import DemandAction
from callcenter.demands.alerts import ALERTS
from callcenter.demands.permissions import DemandPermission
from callcenter.demands.rules.states import RUNNING
from callcenter.demands.service import BY_DEMAND
from callcenter.demands.tables import (
    authority_address,
    authority_key,
    demand,
    demand_counter,
    demand_notice,
    demand_recording,
    demand_scan,
    demand_step,
    disclosure,
    signing_key,
)
from callcenter.platform.core.errors import N_
from callcenter.platform.core.personal_data import Erasure, Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights


def _is_demanded(_now: datetime) -> ColumnElement[bool]:
    """A demand about the appeal, or about its caller, is not carried out yet."""
    return exists().where(
        demand.c.state.in_([state.value for state in RUNNING]),
        or_(
            demand.c.appeal_number == appeal.c.number,
            demand.c.caller_number == appeal.c.caller_number,
        ),
    )


_PROOF = Permanent("the proof of what was demanded and handed over")

ROOM = Room(
    name="demands",
    web="callcenter.demands.web_module",
    jobs=("callcenter.demands.jobs",),
    offers=(
        *DemandPermission,
        *DemandAction,
        BY_DEMAND,
        RetentionReason(
            "demanded", N_("They stay: a written demand is not carried out."), _is_demanded
        ),
        *ALERTS,
        PersonalData(demand, ("signatory", "caller_number", "extension"), _PROOF),
        PersonalData(demand_scan, ("content",), _PROOF),
        PersonalData(
            authority_address,
            ("address",),
            Erasure("its user leaves it empty", "callcenter.demands.notices:save_address"),
        ),
        PersonalData(demand_step, ("reason",), _PROOF),
        TableRights(demand, worker="su", web="siu"),
        TableRights(demand_scan, worker="s", web="si"),
        TableRights(demand_step, worker="si", web="si"),
        TableRights(demand_recording, worker="s", web="siu"),
        TableRights(demand_counter, web="siu"),
        TableRights(authority_key, worker="su", web="siu"),
        TableRights(authority_address, worker="s", web="siud"),
        TableRights(demand_notice, worker="siu", web="si"),
        TableRights(signing_key, worker="si", web="si"),
        TableRights(disclosure, worker="su", web="siu"),
    ),
)
