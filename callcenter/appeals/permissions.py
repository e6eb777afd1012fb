"""Permissions on appeals and what is personal in them."""

from callcenter.platform.identity.permissions import NonUser, Permission, Role


class AppealPermission(Permission):
    """Permissions on appeals and what is personal in them, with the roles that have them."""

    #: the register of appeals and their timelines
    VIEW_APPEALS = (
        "appeals.view",
        Role.CONSULTANT,
        Role.SENIOR,
        Role.RECORDS_OFFICER,
        Role.HEAD,
        Role.AUDITOR,
    )
    #: the caller's number unmasked, each for an audited reason
    SEE_CALLER_NUMBER = "appeals.see_caller_number", Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD
    #: to fill in records of appeals and take them further
    EDIT_APPEALS = "appeals.edit", Role.CONSULTANT, Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD
    #: to put an answer off: who leads decides it (APPC, 76(3))
    EXTEND_TERMS = "appeals.extend", Role.HEAD
    #: to say who answers for an appeal, also for all that somebody has
    ASSIGN_APPEALS = "appeals.assign", Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD
    #: fields of records that are personal data
    SEE_PERSONAL = (
        "appeals.see_personal",
        Role.CONSULTANT,
        Role.SENIOR,
        Role.RECORDS_OFFICER,
        Role.HEAD,
    )
    #: those kept encrypted: ИИН, addresses, children
    SEE_SENSITIVE = (
        "appeals.see_sensitive",
        Role.CONSULTANT,
        Role.SENIOR,
        Role.RECORDS_OFFICER,
        Role.HEAD,
    )
    #: to ask that personal data be masked, and to decide when others ask
    MASK = "appeals.mask", Role.RECORDS_OFFICER, Role.HEAD
    #: fields, topics and terms of the law
    EDIT_FORM = "appeals.form", Role.HEAD, Role.ADMINISTRATOR
    #: personal data in a file, of many appeals
    EXPORT_PERSONAL = "appeals.export_personal", Role.RECORDS_OFFICER, Role.HEAD
    #: a machine's: how an appeal stands, for who proves whose it is
    ASK_STATUS = "status.ask", NonUser.MACHINE
    #: to reach somebody despite their wish, with a reason
    OVERRIDE_WISH = "contact.override", Role.SENIOR, Role.HEAD
