"""Who may do what. Everything that is not listed here is refused."""

from collections.abc import Mapping
from enum import StrEnum

from callcenter.errors import WeFailed


class Permission(StrEnum):
    """What a route may demand. Each route names exactly one (see web.access)."""

    OPEN = "open"  #: nothing: anybody, without sign-in
    ENTERING = "entering"  #: a right password; the second factor may be owed
    SIGNED_IN = "signed_in"  #: a sign-in, whatever the role
    VIEW_APPEALS = "appeals.view"  #: the register of appeals and their timelines
    SEE_CALLER_NUMBER = "appeals.see_caller_number"  #: the caller's number unmasked
    EDIT_APPEALS = "appeals.edit"  #: to fill in records of appeals and take them further
    EXTEND_TERMS = "appeals.extend"  #: to put an answer off: who leads decides it (APPC, 76(3))
    SEE_PERSONAL = "appeals.see_personal"  #: fields of records that are personal data
    SEE_SENSITIVE = "appeals.see_sensitive"  #: those kept encrypted: ИИН, addresses, children
    MASK = "appeals.mask"  #: to ask that personal data be masked, and to decide when others ask
    EDIT_FORM = "appeals.form"  #: fields, topics and terms of the law
    EXPORT_PERSONAL = "appeals.export_personal"  #: personal data in a file, of many appeals
    ASK_STATUS = "status.ask"  #: a machine's: how an appeal stands, for who proves whose it is
    VIEW_LIVE = "live.view"  #: who waits and what each consultant is doing now
    OWN_DUTY = "duty.own"  #: to sign in as a consultant, pause, sign out
    CALL_OUT = "calls.make"  #: to call numbers, and to ring the callers of appeals back
    SUPERVISE = "duty.supervise"  #: to see what consultants do and did, and to send to a pause
    DIRECT = "queue.direct"  #: to see call by call who talks and waits, hold back and hand out
    HEAR_CALLS = "calls.hear"  #: to be with conversations under way: never implied by live figures
    HEAR_ALL_TEAMS = "calls.hear_all_teams"  #: those of other teams too, see consultants.teams
    MANAGE_CONSULTANTS = "consultants.manage"  #: languages, skills, and the center's own lists
    MANAGE_USERS = "users.manage"  #: to add people, give them roles, shut them out
    BLOCK_NUMBERS = "abuse.block"  #: to see numbers that are blocked, block and let through
    MANAGE_PLANS = "plans.manage"  #: to see, make, review and end plans for frequent callers
    HANDLE_DEMANDS = "demands.handle"  #: to register the authority's demands, search and check
    RELEASE_DEMANDS = "demands.release"  #: to let go what somebody else prepared, to refuse
    FILE_DEMANDS = "demands.file"  #: the authority's own: to demand, take what is released
    LISTEN = "recordings.listen"  #: to hear one's own: never implied by seeing the appeal
    LISTEN_TO_TEAM = "recordings.listen_team"  #: those of one's own team too
    LISTEN_TO_ALL_TEAMS = "recordings.listen_all_teams"  #: those of everybody
    ERASE = "recordings.erase"  #: to ask that recordings be erased, and to decide when others ask


class Role(StrEnum):
    """What a person is to the center; the names are kept in the database."""

    CONSULTANT = "consultant"
    SENIOR = "senior"
    RECORDS_OFFICER = "records_officer"
    HEAD = "head"
    KNOWLEDGE_EDITOR = "knowledge_editor"
    AUTHORITY = "authority"
    STATE_BODY = "state_body"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


VISITOR: frozenset[Permission] = frozenset({Permission.OPEN})
#: Of somebody who gave the password and still owes the second factor.
ENTERING = VISITOR | {Permission.ENTERING}
_EVERYBODY = ENTERING | {Permission.SIGNED_IN}
#: Of a program that is known by a token, such as the portal: see web.machines.
MACHINE = VISITOR | {Permission.ASK_STATUS}
_ALL_OF_A_CALL = _EVERYBODY | {
    Permission.VIEW_APPEALS,
    Permission.SEE_CALLER_NUMBER,
    Permission.LISTEN,
}
_AT_THE_TELEPHONE = {Permission.OWN_DUTY, Permission.CALL_OUT, Permission.LISTEN}
_AT_THE_RECORD = {
    Permission.EDIT_APPEALS,
    Permission.SEE_PERSONAL,
    Permission.SEE_SENSITIVE,
}
_SUPERVISOR = {
    Permission.VIEW_LIVE,
    Permission.SUPERVISE,
    Permission.DIRECT,
    Permission.HEAR_CALLS,
    Permission.LISTEN_TO_TEAM,
    Permission.BLOCK_NUMBERS,
    Permission.MANAGE_PLANS,
}

GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.CONSULTANT: _EVERYBODY | {Permission.VIEW_APPEALS} | _AT_THE_TELEPHONE | _AT_THE_RECORD,
    Role.SENIOR: _ALL_OF_A_CALL | _SUPERVISOR | _AT_THE_TELEPHONE | _AT_THE_RECORD,
    Role.RECORDS_OFFICER: _ALL_OF_A_CALL
    | _AT_THE_RECORD
    | {
        Permission.EXPORT_PERSONAL,
        Permission.LISTEN_TO_ALL_TEAMS,
        Permission.HANDLE_DEMANDS,
        Permission.ERASE,
        Permission.MASK,
    },
    Role.HEAD: _ALL_OF_A_CALL
    | _SUPERVISOR
    | _AT_THE_RECORD
    | {
        Permission.HEAR_ALL_TEAMS,
        Permission.MANAGE_CONSULTANTS,
        Permission.EXTEND_TERMS,
        Permission.EDIT_FORM,
        Permission.EXPORT_PERSONAL,
        Permission.HANDLE_DEMANDS,
        Permission.RELEASE_DEMANDS,
        Permission.LISTEN_TO_ALL_TEAMS,
        Permission.ERASE,
        Permission.MASK,
    },
    Role.KNOWLEDGE_EDITOR: _EVERYBODY,
    Role.AUTHORITY: _EVERYBODY | {Permission.FILE_DEMANDS},
    Role.STATE_BODY: _EVERYBODY,
    # Runs the system, and so has no business with what callers said.
    Role.ADMINISTRATOR: _EVERYBODY
    | {
        Permission.VIEW_LIVE,
        Permission.MANAGE_CONSULTANTS,
        Permission.MANAGE_USERS,
        Permission.EDIT_FORM,
    },
    # Checks what others did; for that the masked number is enough.
    Role.AUDITOR: _EVERYBODY | {Permission.VIEW_APPEALS},
}


def check_grants(grants: Mapping[Role, frozenset[Permission]] = GRANTS) -> None:
    """Raises WeFailed that names a role without grants or a permission that nobody has."""
    for role in Role:
        if not grants.get(role, frozenset()) >= _EVERYBODY:
            raise WeFailed(f"role {role.value} may not even sign in: complete web.permissions")
    granted = MACHINE.union(*grants.values())
    for permission in Permission:
        if permission not in granted:
            raise WeFailed(f"no role has permission {permission.value}: give it or remove it")
