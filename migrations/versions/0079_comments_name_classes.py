"""Comments of columns name classes, which are found wherever their modules are."""

from alembic import op

revision = "0079"
down_revision = "0078"

COMMENTS = {
    "appeal.outcome": "exactly one, see Outcome; null while the call lives",
    "appeal_event.kind": "see CallEvent",
    "audit_entry.action": "see Action",
    "audit_entry.hash": "SHA-256 of the hash before and this entry",
    "blocked_number.reason": "see BlockReason",
    "consultant_state.at": "the distributor's clock, never twice",
    "consultant_state.state": "from then on; see PresenceState",
    "demand.refusal": "see RefusalGround",
    "demand.state": "see DemandState",
    "demand.unit": "of the time it sets, see DemandTimeUnit",
    "demand_recording.reasons": "see MatchReason",
    "demand_step.step": "see DemandStep",
    "law_term.clock": "see DeadlineKind",
    "ledger_call.call": "see CelCall",
    "masking.kind": "of a rule, see RuleScope",
    "outgoing_call.outcome": "exactly one, see Outcome; null while the call lives",
    "promise.kind": "see CallbackKind",
    "promise.state": "see CallbackState",
    "record.kind": "see AppealKind; null while undecided",
    "record.stage": "see AppealState",
    "record_attachment.state": "see ScanState",
    "record_attachment.type": "media type, by its bytes",
    "record_letter.kind": "see LetterKind",
    "record_letter.party": "see LetterParty",
    "second_factor.secret": "of TOTP, encrypted",
    "secret_fingerprint.secret": "as in `callcenter keys accept NAME`",
    "sign_in_entrance.created_at": "when the password was right, before the second factor",
    "web_user.role": "see Role",
}


def upgrade() -> None:
    for name, comment in COMMENTS.items():
        table, _, column = name.partition(".")
        op.alter_column(table, column, comment=comment)
