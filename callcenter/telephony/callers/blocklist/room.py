"""The room of blocked numbers: what it registers."""

from callcenter.platform.core.personal_data import Erasure, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.telephony.callers.blocklist.actions import BlocklistAction
from callcenter.telephony.callers.blocklist.permissions import BlocklistPermission
from callcenter.telephony.callers.blocklist.tables import blocked_number

ROOM = Room(
    name="blocklist",
    web="callcenter.telephony.callers.blocklist.web_module",
    jobs=("callcenter.telephony.callers.blocklist.jobs",),
    offers=(
        *BlocklistPermission,
        *BlocklistAction,
        PersonalData(
            blocked_number,
            ("number",),
            Erasure(
                "setting caller_history_days: after the end of the block",
                "callcenter.telephony.callers.history:erase_ended",
            ),
        ),
        TableRights(blocked_number, controller="s", worker="sd", web="siu"),
    ),
)
