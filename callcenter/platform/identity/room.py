"""The room of identity: sign-in, second factors, API clients."""

from callcenter.platform.core.personal_data import Erasure, Permanent, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.alerts import SIGN_IN_ATTACKED
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.identity.rights import RIGHTS
from callcenter.platform.identity.tables import (
    refusal_count,
    sign_in_attempt,
    web_identity,
    web_user,
)

ROOM = Room(
    name="identity",
    jobs=("callcenter.platform.identity.jobs",),
    offers=(
        SIGN_IN_ATTACKED,
        *SessionPermission,
        *IdentityAction,
        *RIGHTS,
        # Its name stands as user:NAME in the columns that say who did something.
        PersonalData(
            web_user,
            ("name", "full_name", "position"),
            Permanent("the audit log names users; they are only deactivated"),
        ),
        PersonalData(
            web_identity,
            ("subject",),
            Erasure(
                "when an administrator takes the identity from the user",
                "callcenter.platform.identity.external_identities:unlink",
            ),
        ),
        PersonalData(
            sign_in_attempt,
            ("key",),
            Erasure(
                "15 minutes after the last attempt (LOCK_TIMEOUT)",
                "callcenter.platform.identity.sign_in_attempts:delete_expired",
            ),
        ),
        PersonalData(
            refusal_count,
            ("who",),
            Erasure(
                "an hour after the first refusal (WINDOW)",
                "callcenter.platform.identity.refusals:record_ended_counts",
            ),
        ),
    ),
)
