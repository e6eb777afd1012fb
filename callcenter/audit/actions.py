"""What is written into the audit log: a closed set of actions."""

from enum import StrEnum


class Action(StrEnum):
    """Something that a person did or saw, named `source:subject:action`.

    source   where it was done: `web` (pages and API), `command` (the command line) or `telephone`
    subject  the kind of thing it was done to: session, appeal, recording, consultant,
             conversation, queue, call, user, block, plan, promise, skill, pause_reason, demand,
             appeals (a search), record, attachment,
             reminder, letter, masking, field, term, authority_key, signing_key, second_factor,
             machine
    action   what was done, in the past tense

    Each part is `[a-z][a-z_]*`. Names are kept for ever in the log: never rename or reuse one.
    """

    SIGNED_IN = "web:session:started"  #: subject: the user; detail: by (provider)
    SIGN_IN_REFUSED = "web:session:refused"  #: subject: the user, if known; detail: why, by
    OWN_PASSWORD_SET = "web:user:own_password_set"  # noqa: S105 - the name of an action
    SIGN_IN_LOCKED = "web:session:locked"  #: too many tries; detail: locked (name, address)
    USER_CAME = "web:user:came"  #: added by the organisation's sign-in; detail: role
    ROLE_FOLLOWED = "web:user:role_followed"  #: as the groups there changed; detail: role
    SIGNED_OUT = "web:session:ended"  #: subject: the user
    # Of second factors; subject: the user.
    SECOND_FACTOR_ENROLLED = "web:second_factor:enrolled"
    SECOND_FACTOR_REFUSED = "web:second_factor:refused"  #: a wrong code, after a right password
    RECOVERY_CODE_USED = "web:second_factor:recovery_used"  #: detail: left (how many)
    APPEAL_VIEWED = "web:appeal:viewed"  #: subject: the appeal's number; detail: by (page, api)
    RECORDING_LISTENED = (
        "web:recording:listened"  #: subject: the recording; detail: id of the appeal, reason given
    )
    RECORD_SAVED = "web:record:saved"  #: subject: the appeal's number; detail: version
    RECORD_MOVED = "web:record:moved"  #: subject: the appeal's number; detail: before, after
    RECORD_EXTENDED = "web:record:extended"  #: subject: the appeal's number; detail: until
    EXTENSION_TOLD = "web:record:extension_told"  #: to the applicant; subject: the appeal's number
    RECORD_SPLIT = "web:record:split"  #: subject: the appeal's number; detail: number of the part
    APPEALS_SEARCHED = "web:appeals:searched"  #: detail: words (how many), found
    # Of files; subject: the appeal's number; detail: attachment (its id).
    ATTACHMENT_ADDED = "web:attachment:added"  #: detail: sha
    ATTACHMENT_READ = "web:attachment:read"
    # Of reminders; subject: the appeal's number; detail: reminder (its id).
    REMINDER_SET = "web:reminder:set"  #: detail: due_at
    REMINDER_DONE = "web:reminder:done"
    LETTER_KEPT = "web:letter:kept"  #: subject: the appeal's number; detail: letter (id), version
    # Of masking; subject: the appeal's number, or the kind of a rule; detail: reason, and what is
    # named here.
    MASKING_ASKED = "web:masking:asked"  #: detail: days (of a rule)
    MASKING_APPROVED = "web:masking:approved"  #: by another; detail: asked_by, days
    MASKING_REFUSED = "web:masking:refused"  #: the same
    MASKING_ENDED = "web:masking:ended"  #: of a rule
    RECORD_MASKED = "web:record:masked"  #: by a person's decision, or a rule's; detail: masking
    RECEIPT_GIVEN = "web:record:receipt_given"  #: subject: the appeal's number
    DANGER_PASSED_ON = "web:record:danger_passed_on"  #: subject: the appeal's number
    APPEAL_OPENED = "web:appeal:opened"  #: by hand; subject: its number; detail: channel
    FIELD_KEPT = "web:field:kept"  #: added or changed; subject: its code; detail: version
    TERM_KEPT = "web:term:kept"  #: a term of the law; detail: length, unit, article, from
    RECORDINGS_SEARCHED = "web:recording:searched"  #: detail: filters (their names), found
    RECORDING_PLAYED = (
        "telephone:recording:listened"  #: a message; detail: id of the appeal, reason (its offer)
    )
    LISTENING_REFUSED = "web:recording:listening_refused"  #: other_team or not_own
    RECORDING_HELD = "web:recording:held"  #: kept from erasing by hand; detail: order
    RECORDING_LET_GO = "web:recording:let_go"  #: not any more; detail: order, reason
    ERASURE_ASKED = "web:recording:erasure_asked"  #: subject: the recording; detail: reason, order
    ERASURE_APPROVED = "web:recording:erasure_approved"  #: by another; detail: reason, asked_by
    ERASURE_REFUSED = "web:recording:erasure_refused"  #: the same
    CALLS_UNWANTED = "web:appeal:calls_unwanted"  #: subject: the appeal's number; detail: unwanted
    SUPERVISED = "web:conversation:supervised"  #: subject: the appeal; detail: mode, reason, ...
    QUEUE_HELD_BACK = "web:queue:held_back"  #: subject: language or all; detail: minutes, reason
    QUEUE_LET_ON = "web:queue:let_on"  #: subject: language or all
    CALL_HANDED_OUT = "web:call:handed_out"  #: subject: the switch's id; detail: consultant
    DUTY_CHANGED = "web:consultant:duty_changed"  #: by a supervisor; detail: state, reason
    CONSULTANT_CHANGED = "web:consultant:changed"  #: detail: languages, skills with levels
    SKILL_KEPT = "web:skill:kept"  #: added or changed; subject: its code; detail: names, active
    PAUSE_REASON_KEPT = "web:pause_reason:kept"  #: the same of a reason of pauses
    NUMBER_BLOCKED = "web:block:made"  #: subject: the block; detail: number (masked), until, reason
    PLAN_MADE = "web:plan:made"  #: subject: the plan; detail: number (masked), extension
    PLAN_REVIEWED = "web:plan:reviewed"  #: subject: the plan; detail: number (masked), review_on
    PLAN_ENDED = "web:plan:ended"  #: subject: the plan; detail: number (masked)
    BLOCK_LIFTED = "web:block:lifted"  #: subject: the block; detail: number (masked)
    PROMISE_CLOSED = "web:promise:closed"  #: subject: the promise: it is kept no more
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
    DEMAND_LETTER_READ = "web:demand:letter_read"  #: our letter: what goes with it, or a refusal
    DEMAND_VIEWED = "web:demand:viewed"  #: detail: by (page, api)
    DEMAND_SCAN_READ = "web:demand:scan_read"
    AUTHORITY_KEY_ADDED = "web:authority_key:added"  #: subject: the public key of age
    AUTHORITY_KEY_CONFIRMED = "web:authority_key:confirmed"
    AUTHORITY_KEY_REVOKED = "web:authority_key:revoked"
    RECORDING_DISCLOSED = "web:recording:disclosed"  #: subject: the recording; detail: demand, ...
    # Of people who sign in, by administrators on the pages or by the API; subject: the user.
    USER_ADDED_ON_PAGE = "web:user:added"  #: detail: role
    ROLE_GIVEN_ON_PAGE = "web:user:role_given"  #: detail: role
    USER_LINKED_ON_PAGE = "web:user:linked"  #: detail: extension of the consultant
    USER_IDENTIFIED_ON_PAGE = "web:user:identified"  #: detail: subject (there)
    USER_SIGNS_ON_PAGE = "web:user:signs"
    USER_DISABLED_ON_PAGE = "web:user:disabled"
    USER_ENABLED_ON_PAGE = "web:user:enabled"
    SECOND_FACTOR_RESET_ON_PAGE = "web:second_factor:reset"
    PASSWORD_SET_ON_PAGE = "web:user:password_set"  # noqa: S105 - the name of an action
    # The same by the command.
    ROLE_GIVEN = "command:user:role_given"
    USER_IDENTIFIED = "command:user:identified"
    STATUS_TOLD = "web:appeal:status_told"  #: to who proved whose it is; subject: its number
    APPEALS_EXPORTED = "web:appeals:exported"  #: detail: filters, rows, personal, format
    MACHINE_ADDED = "command:machine:added"  #: subject: the machine
    MACHINE_REVOKED = "command:machine:revoked"
    SIGNING_KEY_TOLD = "command:signing_key:told"  #: to the authority; subject: its SHA-256
    RECORDING_DEALT_WITH = "command:recording:dealt_with"  #: that was set aside; detail: reason
    USER_ADDED = "command:user:added"  #: detail: role
    USER_LINKED = "command:user:linked"  #: detail: extension of the consultant; none: unlinked
    USER_SIGNS = "command:user:signs"  #: how somebody signs receipts was changed
    USER_DISABLED = "command:user:disabled"
    USER_ENABLED = "command:user:enabled"
    SECOND_FACTOR_RESET = "command:second_factor:reset"  #: subject: the user
    USER_PASSWORD_SET = "command:user:password_set"  # noqa: S105 - the name of an action
