"""The audit log: what it registers."""

from callcenter.platform.audit.actions import SystemAction
from callcenter.platform.audit.checkpoint_files import CHECKPOINTS
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.personal_data import Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights

ROOM = Room(
    name="audit",
    jobs=("callcenter.platform.audit.jobs",),
    offers=(
        *SystemAction,
        CHECKPOINTS,
        PersonalData(
            audit_entry,
            ("who", "subject", "detail", "from_address"),
            Permanent("each row proves the one before it"),
        ),
        TableRights(
            audit_entry,
            controller="si",
            worker="si",
            web="si",
            columns={("controller", "s"): ("id", "hash")},
        ),
    ),
)
