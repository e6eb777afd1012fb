"""Words for actions of the audit log, and its rows as a file has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from callcenter.platform.audit.rules.hash_chain import Entry
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator

#: Each action that a room declares; others are of versions before, and are shown as they stand.
ACTIONS = {
    "command:backup:made": N_("Backup made"),
    "command:backup:restored": N_("Site restored from a backup"),
    "command:consultant:added": N_("Consultant added"),
    "command:consultant:disabled": N_("Consultant disabled"),
    "command:consultant:enabled": N_("Consultant enabled"),
    "command:consultant:password_set": N_("Password of a telephone set"),
    "command:consultant:skills_set": N_("Skills of a consultant set"),
    "command:consultant:team_set": N_("Team of a consultant set"),
    "command:consultant:telephone_set": N_("Telephone of a consultant chosen"),
    "command:machine:added": N_("API client added"),
    "command:machine:revoked": N_("API client revoked"),
    "command:recording:adopted": N_("Sealed recording entered again"),
    "command:recording:dealt_with": N_("Quarantined recording dealt with"),
    "web:authority_address:saved": N_("E-mail address of the authority saved"),
    "web:recording:settled": N_("Quarantined recording settled on the page"),
    "command:second_factor:reset": N_("Second factor reset by command"),
    "command:secret:accepted": N_("Changed secret accepted"),
    "command:signing_key:told": N_("Signing key told to the authority"),
    "command:user:added": N_("User added by command"),
    "command:user:disabled": N_("User disabled by command"),
    "command:user:enabled": N_("User enabled by command"),
    "command:user:identified": N_("Identity of a user set by command"),
    "command:user:invited": N_("User invited by command"),
    "command:user:linked": N_("User linked with a telephone by command"),
    "command:user:password_set": N_("Password of a user set by command"),
    "command:user:role_given": N_("Role given by command"),
    "command:user:signs": N_("How a user signs papers set by command"),
    "controller:order:refused": N_("Order for a call refused"),
    "controller:order:taken": N_("Order for a call carried out"),
    "controller:supervision:ended": N_("Supervision of a conversation ended"),
    "telephone:recording:listened": N_("Message heard by telephone"),
    "web:access:more_refused": N_("More refusals"),
    "web:access:refused": N_("Access refused"),
    "web:alarm:acknowledged": N_("Alarm acknowledged"),
    "web:alarm:taken": N_("Alarm taken"),
    "web:appeal:calls_unwanted": N_("Wish not to be called noted"),
    "web:appeal:contact_wish": N_("Wish about contact noted"),
    "web:appeal:opened": N_("Appeal opened by hand"),
    "web:appeal:status_told": N_("Status of an appeal told"),
    "web:appeal:viewed": N_("Appeal viewed"),
    "web:appeal:wish_overridden": N_("Wish about contact overridden"),
    "web:appeals:exported": N_("Appeals exported"),
    "web:appeals:many_viewed": N_("Many appeals opened without a call"),
    "web:appeals:searched": N_("Appeals searched"),
    "web:approval:self_refused": N_("Approval of one's own request refused"),
    "web:attachment:added": N_("File attached"),
    "web:attachment:read": N_("Attached file opened"),
    "web:audit_log:exported": N_("Audit log exported"),
    "web:audit_log:read": N_("Audit log read"),
    "web:authority_key:added": N_("Key of the authority added"),
    "web:authority_key:confirmed": N_("Key of the authority confirmed"),
    "web:authority_key:revoked": N_("Key of the authority revoked"),
    "web:block:lifted": N_("Block of a number lifted"),
    "web:block:made": N_("Number blocked"),
    "web:calendar:year_entered": N_("Year of the working calendar entered"),
    "web:call:handed_out": N_("Call handed out"),
    "web:consultant:added": N_("Consultant added on a page"),
    "web:consultant:changed": N_("Consultant changed"),
    "web:consultant:duty_changed": N_("Presence of a consultant changed"),
    "web:consultant:password_set": N_("Password of a telephone set on a page"),
    "web:consultant:renamed": N_("Consultant renamed"),
    "web:consultant:telephone_set": N_("Telephone of a consultant chosen on a page"),
    "web:conversation:supervised": N_("Conversation joined by a supervisor"),
    "web:demand:acknowledged": N_("Demand acknowledged"),
    "web:demand:checked": N_("Demand checked"),
    "web:demand:handed_over": N_("Disclosure handed over"),
    "web:demand:hold_ended": N_("Hold of a demand ended"),
    "web:demand:letter_read": N_("Letter of a demand opened"),
    "web:demand:offered_again": N_("Disclosure offered again"),
    "web:demand:refused": N_("Demand refused"),
    "web:demand:registered": N_("Demand registered"),
    "web:demand:released": N_("Disclosure released"),
    "web:demand:returned": N_("Demand returned"),
    "web:demand:scan_read": N_("Scan of a demand opened"),
    "web:demand:searched": N_("Demands searched"),
    "web:demand:step_refused": N_("Step of a demand refused"),
    "web:demand:viewed": N_("Demand viewed"),
    "web:demand:withdrawn": N_("Demand withdrawn"),
    "web:field:kept": N_("Field of the form saved"),
    "web:letter:kept": N_("Letter saved"),
    "web:masking:approved": N_("Masking approved"),
    "web:masking:asked": N_("Masking asked for"),
    "web:masking:ended": N_("Rule of masking ended"),
    "web:masking:refused": N_("Masking refused"),
    "web:number:approved": N_("Opening of a sealed number approved"),
    "web:number:asked": N_("Opening of a sealed number asked for"),
    "web:number:denied": N_("Opening of a sealed number denied"),
    "web:number:opened": N_("Sealed number opened"),
    "web:number:refused": N_("Access to a sealed number refused"),
    "web:number:shown": N_("Whole number of the caller shown"),
    "web:numbers:listed": N_("Whole numbers listed"),
    "web:oral_contact:noted": N_("Oral contact noted"),
    "web:pause_reason:kept": N_("Reason of pauses saved"),
    "web:plan:ended": N_("Care plan ended"),
    "web:plan:made": N_("Care plan made"),
    "web:plan:reviewed": N_("Care plan reviewed"),
    "web:preset:saved": N_("Preset saved"),
    "web:promise:closed": N_("Callback closed"),
    "web:promise:message_done": N_("Message of a caller done"),
    "web:psychology:noted": N_("Psychologist's note added"),
    "web:psychology:opened": N_("Psychologist's notes opened"),
    "web:psychology:refused": N_("Psychologist's notes refused"),
    "web:psychology:talk_booked": N_("Talk with a psychologist booked"),
    "web:psychology:talk_done": N_("Talk with a psychologist done"),
    "web:queue:held_back": N_("Queue held back"),
    "web:queue:let_on": N_("Queue let on"),
    "web:record:assigned": N_("Appeal given to somebody"),
    "web:record:danger_passed_on": N_("Danger passed on"),
    "web:record:extended": N_("Term extended"),
    "web:record:extension_told": N_("Extension told to the applicant"),
    "web:record:masked": N_("Record masked"),
    "web:record:moved": N_("Stage of an appeal changed"),
    "web:record:receipt_given": N_("Receipt given"),
    "web:record:saved": N_("Record saved"),
    "web:record:split": N_("Record split"),
    "web:recording:disclosed": N_("Recording disclosed"),
    "web:recording:erasure_approved": N_("Erasure of a recording approved"),
    "web:recording:erasure_asked": N_("Erasure of a recording asked for"),
    "web:recording:erasure_refused": N_("Erasure of a recording refused"),
    "web:recording:held": N_("Recording held"),
    "web:recording:let_go": N_("Hold of a recording ended"),
    "web:recording:listened": N_("Recording listened to"),
    "web:recording:listening_refused": N_("Listening refused"),
    "web:recording:searched": N_("Recordings searched"),
    "web:records:assigned": N_("All appeals of somebody given to another"),
    "web:reminder:done": N_("Reminder done"),
    "web:reminder:set": N_("Reminder set"),
    "web:second_factor:enrolled": N_("Second factor set up"),
    "web:second_factor:recovery_used": N_("Recovery code used"),
    "web:second_factor:refused": N_("Second factor refused"),
    "web:second_factor:reset": N_("Second factor reset"),
    "web:second_factor:reset_asked": N_("Reset of a second factor asked for"),
    "web:second_factor:reset_refused": N_("Reset of a second factor refused"),
    "web:session:ended": N_("Signed out of the pages"),
    "web:session:locked": N_("Sign-in locked"),
    "web:session:refused": N_("Sign-in refused"),
    "web:session:started": N_("Signed in to the pages"),
    "web:skill:kept": N_("Skill saved"),
    "web:term:kept": N_("Term of the law saved"),
    "web:user:added": N_("User added"),
    "web:user:came": N_("User came by the organisation's sign-in"),
    "web:user:disabled": N_("User disabled"),
    "web:user:enabled": N_("User enabled"),
    "web:user:entitlement_lost": N_("User lost the right to work here"),
    "web:user:first_administrator": N_("First administrator added"),
    "web:user:identified": N_("Identity of a user set"),
    "web:user:invitation_accepted": N_("Invitation accepted"),
    "web:user:invited": N_("User invited"),
    "web:user:linked": N_("User linked with a telephone"),
    "web:user:own_password_set": N_("Own password changed"),
    "web:user:password_set": N_("Password of a user set"),
    "web:user:role_followed": N_("Role followed from the organisation"),
    "web:user:role_given": N_("Role given"),
    "web:user:signs": N_("How a user signs papers set"),
    "web:workspace:help_requested": N_("Help asked of supervisors"),
}


@dataclass(frozen=True)
class AuditLabels:
    """Words of the audit log in one language."""

    words: Translator

    def action(self, action: str) -> str:
        return self.words.plain(ACTIONS[action]) if action in ACTIONS else action

    def choices(self) -> list[tuple[str, str]]:
        """Actions with their words, in the order of these."""
        return sorted(((code, self.action(code)) for code in ACTIONS), key=lambda each: each[1])

    def detail(self, entry: Entry) -> str:
        return ", ".join(f"{name}: {value}" for name, value in entry.detail.items())

    def address(self, name: str, value: str) -> str:
        """The query of the page for all entries of a person or a subject."""
        return urlencode({name: value})

    def heading(self) -> Sequence[str]:
        """The names of the columns of a file."""
        columns = (
            N_("Number"),
            N_("When"),
            N_("Who"),
            N_("What was done"),
            N_("Action"),
            N_("With what"),
            N_("Details"),
            N_("From address"),
        )
        return [self.words.plain(each) for each in columns]

    def row(self, entry: Entry) -> Sequence[str]:
        """A line of a file, under `heading`."""
        return [
            str(entry.id),
            self.words.moment(entry.at),
            entry.who,
            self.action(entry.action),
            entry.action,
            entry.subject,
            self.detail(entry),
            entry.from_address or "",
        ]
