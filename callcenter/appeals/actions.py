"""Actions on appeals: their records, files, letters, masking and form."""

from callcenter.platform.audit.actions import OPENS_PERSONAL_DATA, Action
from callcenter.platform.core.errors import N_


class AppealAction(Action):
    """Actions on appeals: their records, files, letters, masking and form."""

    #: subject: the appeal's number; detail: by (page, api ...)
    APPEAL_VIEWED = "web:appeal:viewed", N_("Appeal viewed"), OPENS_PERSONAL_DATA
    #: subject: the appeal's number; detail: version
    RECORD_SAVED = "web:record:saved", N_("Record saved")
    #: subject: the appeal's number; detail: before, after
    RECORD_MOVED = "web:record:moved", N_("Stage of an appeal changed")
    #: subject: the appeal's number; detail: until
    RECORD_EXTENDED = "web:record:extended", N_("Term extended")
    #: to the applicant; subject: the appeal's number
    EXTENSION_TOLD = "web:record:extension_told", N_("Extension told to the applicant")
    #: subject: the appeal's number; detail: before, after
    RECORD_ASSIGNED = "web:record:assigned", N_("Appeal given to somebody")
    #: all of a user; detail: after, appeals, reason
    RECORDS_ASSIGNED = "web:records:assigned", N_("All appeals of somebody given to another")
    #: subject: the appeal's number; detail: number of the part
    RECORD_SPLIT = "web:record:split", N_("Record split")
    #: subject: user:NAME; detail: threshold (in an hour)
    MANY_VIEWED = "web:appeals:many_viewed", N_("Many appeals opened without a call")
    #: of a caller, whole; subject: the appeal, block, plan or demand; detail: reason
    NUMBER_SHOWN = "web:number:shown", N_("Whole number of the caller shown"), OPENS_PERSONAL_DATA
    #: of callers, whole, in a file; subject: export; detail: numbers (how many appeals), reason
    NUMBERS_LISTED = "web:numbers:listed", N_("Whole numbers listed")
    #: detail: words (how many), found
    APPEALS_SEARCHED = "web:appeals:searched", N_("Appeals searched")

    # Of files; subject: the appeal's number; detail: attachment (its id).

    #: detail: sha
    ATTACHMENT_ADDED = "web:attachment:added", N_("File attached")
    ATTACHMENT_READ = "web:attachment:read", N_("Attached file opened"), OPENS_PERSONAL_DATA

    # Of reminders; subject: the appeal's number; detail: reminder (its id).

    #: detail: due_at
    REMINDER_SET = "web:reminder:set", N_("Reminder set")
    REMINDER_DONE = "web:reminder:done", N_("Reminder done")
    #: subject: the appeal's number; detail: letter (id), version
    LETTER_KEPT = "web:letter:kept", N_("Letter saved")
    #: subject: the appeal's number; detail: contact
    ORAL_CONTACT_NOTED = "web:oral_contact:noted", N_("Oral contact noted")

    # Of psychological help; subject: the appeal's number.

    #: detail: notes (how many)
    PSYCHOLOGICAL_NOTES_OPENED = (
        "web:psychology:opened",
        N_("Psychologist's notes opened"),
        OPENS_PERSONAL_DATA,
    )
    #: to who is no psychologist
    PSYCHOLOGICAL_NOTES_REFUSED = "web:psychology:refused", N_("Psychologist's notes refused")
    #: detail: note (its id)
    PSYCHOLOGICAL_NOTE_ADDED = "web:psychology:noted", N_("Psychologist's note added")
    #: detail: psychologist, due_at
    TALK_BOOKED = "web:psychology:talk_booked", N_("Talk with a psychologist booked")
    #: detail: talk (its id)
    TALK_DONE = "web:psychology:talk_done", N_("Talk with a psychologist done")

    # Of follow-up calls; subject: the appeal's number.

    #: detail: user (who calls), due_at
    FOLLOW_UP_BOOKED = "web:follow_up:booked", N_("Follow-up call booked")
    #: an attempt, or the end; detail: result, attempts, call (the last one to these people)
    FOLLOW_UP_ENDED = "web:follow_up:ended", N_("Result of a follow-up call noted")

    # Of masking; subject: the appeal's number, or the kind of a rule; detail: reason, and what is
    # named here.

    #: detail: days (of a rule)
    MASKING_ASKED = "web:masking:asked", N_("Masking asked for")
    #: by another; detail: asked_by, days
    MASKING_APPROVED = "web:masking:approved", N_("Masking approved")
    #: the same
    MASKING_REFUSED = "web:masking:refused", N_("Masking refused")
    #: of a rule
    MASKING_ENDED = "web:masking:ended", N_("Rule of masking ended")
    #: by a person's decision, or a rule's; detail: masking
    RECORD_MASKED = "web:record:masked", N_("Record masked")
    #: subject: the appeal's number
    RECEIPT_GIVEN = "web:record:receipt_given", N_("Receipt given")
    #: subject: the appeal's number
    DANGER_PASSED_ON = "web:record:danger_passed_on", N_("Danger passed on")
    #: by hand; subject: its number; detail: channel
    APPEAL_OPENED = "web:appeal:opened", N_("Appeal opened by hand")
    #: added or changed; subject: its code; detail: version
    FIELD_KEPT = "web:field:kept", N_("Field of the form saved")
    #: subject: the preset; detail: name, active
    PRESET_SAVED = "web:preset:saved", N_("Preset saved")
    #: a term of the law; detail: length, unit, article, from
    TERM_KEPT = "web:term:kept", N_("Term of the law saved")
    #: detail: filters (their names), found
    RECORDINGS_SEARCHED = "web:recording:searched", N_("Recordings searched")
    #: subject: the appeal's number; detail: unwanted
    CALLS_UNWANTED = "web:appeal:calls_unwanted", N_("Wish not to be called noted")
    #: detail: person, channel, allowed, number (masked)
    CONTACT_WISH = "web:appeal:contact_wish", N_("Wish about contact noted")
    #: by a senior; detail: way, reason
    WISH_OVERRIDDEN = "web:appeal:wish_overridden", N_("Wish about contact overridden")
    #: to who proved whose it is; subject: its number
    STATUS_TOLD = "web:appeal:status_told", N_("Status of an appeal told")
    #: detail: filters, rows, personal, format
    APPEALS_EXPORTED = "web:appeals:exported", N_("Appeals exported")
