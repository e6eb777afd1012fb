"""Actions on appeals: their records, files, letters, masking and form."""

from callcenter.platform.audit.actions import Action


class AppealAction(Action):
    """Actions on appeals: their records, files, letters, masking and form."""

    APPEAL_VIEWED = "web:appeal:viewed"  #: subject: the appeal's number; detail: by (page, api ...)
    RECORD_SAVED = "web:record:saved"  #: subject: the appeal's number; detail: version
    RECORD_MOVED = "web:record:moved"  #: subject: the appeal's number; detail: before, after
    RECORD_EXTENDED = "web:record:extended"  #: subject: the appeal's number; detail: until
    EXTENSION_TOLD = "web:record:extension_told"  #: to the applicant; subject: the appeal's number
    RECORD_ASSIGNED = "web:record:assigned"  #: subject: the appeal's number; detail: before, after
    RECORDS_ASSIGNED = "web:records:assigned"  #: all of a user; detail: after, appeals, reason
    RECORD_SPLIT = "web:record:split"  #: subject: the appeal's number; detail: number of the part
    MANY_VIEWED = "web:appeals:many_viewed"  #: subject: user:NAME; detail: threshold (in an hour)
    #: of a caller, whole; subject: the appeal, block, plan or demand; detail: reason
    NUMBER_SHOWN = "web:number:shown"
    #: of callers, whole, in a file; subject: export; detail: numbers (how many appeals), reason
    NUMBERS_LISTED = "web:numbers:listed"
    APPEALS_SEARCHED = "web:appeals:searched"  #: detail: words (how many), found
    # Of files; subject: the appeal's number; detail: attachment (its id).
    ATTACHMENT_ADDED = "web:attachment:added"  #: detail: sha
    ATTACHMENT_READ = "web:attachment:read"
    # Of reminders; subject: the appeal's number; detail: reminder (its id).
    REMINDER_SET = "web:reminder:set"  #: detail: due_at
    REMINDER_DONE = "web:reminder:done"
    LETTER_KEPT = "web:letter:kept"  #: subject: the appeal's number; detail: letter (id), version
    ORAL_CONTACT_NOTED = "web:oral_contact:noted"  #: subject: the appeal's number; detail: contact
    # Of psychological help; subject: the appeal's number.
    PSYCHOLOGICAL_NOTES_OPENED = "web:psychology:opened"  #: detail: notes (how many)
    PSYCHOLOGICAL_NOTES_REFUSED = "web:psychology:refused"  #: to who is no psychologist
    PSYCHOLOGICAL_NOTE_ADDED = "web:psychology:noted"  #: detail: note (its id)
    TALK_BOOKED = "web:psychology:talk_booked"  #: detail: psychologist, due_at
    TALK_DONE = "web:psychology:talk_done"  #: detail: talk (its id)
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
    PRESET_SAVED = "web:preset:saved"  #: subject: the preset; detail: name, active
    TERM_KEPT = "web:term:kept"  #: a term of the law; detail: length, unit, article, from
    RECORDINGS_SEARCHED = "web:recording:searched"  #: detail: filters (their names), found
    CALLS_UNWANTED = "web:appeal:calls_unwanted"  #: subject: the appeal's number; detail: unwanted
    CONTACT_WISH = "web:appeal:contact_wish"  #: detail: person, channel, allowed, number (masked)
    WISH_OVERRIDDEN = "web:appeal:wish_overridden"  #: by a senior; detail: way, reason
    STATUS_TOLD = "web:appeal:status_told"  #: to who proved whose it is; subject: its number
    APPEALS_EXPORTED = "web:appeals:exported"  #: detail: filters, rows, personal, format
