"""Actions on demands of the authority (R17) and on its keys."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class DemandAction(Action):
    """Actions on demands of the authority (R17) and on its keys."""

    # Of demands (R17); subject: the demand's number; detail: reason, and what is named here.

    #: detail: letter, came_by, due_at
    DEMAND_REGISTERED = "web:demand:registered", N_("Demand registered")
    #: detail: by (what was searched), found
    DEMAND_SEARCHED = "web:demand:searched", N_("Demands searched")
    #: detail: recordings
    DEMAND_CHECKED = "web:demand:checked", N_("Demand checked")
    DEMAND_RETURNED = "web:demand:returned", N_("Demand returned")
    DEMAND_RELEASED = "web:demand:released", N_("Disclosure released")
    DEMAND_OFFERED_AGAIN = "web:demand:offered_again", N_("Disclosure offered again")
    DEMAND_HANDED_OVER = "web:demand:handed_over", N_("Disclosure handed over")
    DEMAND_ACKNOWLEDGED = "web:demand:acknowledged", N_("Demand acknowledged")
    #: detail: ground
    DEMAND_REFUSED = "web:demand:refused", N_("Demand refused")
    DEMAND_WITHDRAWN = "web:demand:withdrawn", N_("Demand withdrawn")
    #: retention may propose its recordings again
    DEMAND_HOLD_ENDED = "web:demand:hold_ended", N_("Hold of a demand ended")
    #: detail: step, why
    DEMAND_STEP_REFUSED = "web:demand:step_refused", N_("Step of a demand refused")
    #: our letter: what goes with it, or a refusal
    DEMAND_LETTER_READ = "web:demand:letter_read", N_("Letter of a demand opened")
    #: detail: by (page, api)
    DEMAND_VIEWED = "web:demand:viewed", N_("Demand viewed")
    DEMAND_SCAN_READ = "web:demand:scan_read", N_("Scan of a demand opened")
    #: subject: the public key of age
    AUTHORITY_KEY_ADDED = "web:authority_key:added", N_("Key of the authority added")
    AUTHORITY_KEY_CONFIRMED = "web:authority_key:confirmed", N_("Key of the authority confirmed")
    AUTHORITY_KEY_REVOKED = "web:authority_key:revoked", N_("Key of the authority revoked")
    #: subject: the user; detail: given
    AUTHORITY_ADDRESS_SAVED = (
        "web:authority_address:saved",
        N_("E-mail address of the authority saved"),
    )
    #: subject: the recording; detail: demand, ...
    RECORDING_DISCLOSED = "web:recording:disclosed", N_("Recording disclosed")
    #: to the authority; subject: its SHA-256
    SIGNING_KEY_TOLD = "command:signing_key:told", N_("Signing key told to the authority")
