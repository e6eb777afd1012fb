"""Actions on demands of the authority (R17) and on its keys."""

from callcenter.platform.audit.actions import Action


class DemandAction(Action):
    """Actions on demands of the authority (R17) and on its keys."""

    # Of demands (R17); subject: the demand's number; detail: reason, and what is named here.
    DEMAND_REGISTERED = "web:demand:registered"  #: detail: letter, came_by, due_at
    DEMAND_SEARCHED = "web:demand:searched"  #: detail: by (what was searched), found
    DEMAND_CHECKED = "web:demand:checked"  #: detail: recordings
    DEMAND_RETURNED = "web:demand:returned"
    DEMAND_RELEASED = "web:demand:released"
    DEMAND_OFFERED_AGAIN = "web:demand:offered_again"
    DEMAND_HANDED_OVER = "web:demand:handed_over"
    DEMAND_ACKNOWLEDGED = "web:demand:acknowledged"
    DEMAND_REFUSED = "web:demand:refused"  #: detail: ground
    DEMAND_WITHDRAWN = "web:demand:withdrawn"
    DEMAND_HOLD_ENDED = "web:demand:hold_ended"  #: retention may propose its recordings again
    DEMAND_STEP_REFUSED = "web:demand:step_refused"  #: detail: step, why
    DEMAND_LETTER_READ = "web:demand:letter_read"  #: our letter: what goes with it, or a refusal
    DEMAND_VIEWED = "web:demand:viewed"  #: detail: by (page, api)
    DEMAND_SCAN_READ = "web:demand:scan_read"
    AUTHORITY_KEY_ADDED = "web:authority_key:added"  #: subject: the public key of age
    AUTHORITY_KEY_CONFIRMED = "web:authority_key:confirmed"
    AUTHORITY_KEY_REVOKED = "web:authority_key:revoked"
    AUTHORITY_ADDRESS_SAVED = "web:authority_address:saved"  #: subject: the user; detail: given
    RECORDING_DISCLOSED = "web:recording:disclosed"  #: subject: the recording; detail: demand, ...
    SIGNING_KEY_TOLD = "command:signing_key:told"  #: to the authority; subject: its SHA-256
