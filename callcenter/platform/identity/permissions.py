"""Roles and permissions: rooms declare theirs; what is not granted is refused."""

from enum import Enum, StrEnum, unique
from typing import Self

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.registry import offers


class Role(StrEnum):
    """The role of a user; the names are kept in the database."""

    CONSULTANT = "consultant"
    SENIOR = "senior"
    RECORDS_OFFICER = "records_officer"
    HEAD = "head"
    KNOWLEDGE_EDITOR = "knowledge_editor"
    AUTHORITY = "authority"
    STATE_BODY = "state_body"
    ADMINISTRATOR = "administrator"  #: runs the system: has no business with what callers said
    AUDITOR = "auditor"  #: checks what others did: for that the masked number is enough


class NonUser(Enum):
    """An actor that has no role."""

    VISITOR = "visitor"
    PENDING_LOGIN = "pending_login"  #: gave the password, and still owes the second factor
    MACHINE = "machine"  #: a program known by a token, such as the portal: identity.api_clients


Grantee = Role | NonUser


class Permission(StrEnum):
    """Extension point: a permission and who has it: `NAME = "key", Role.HEAD, ...`.

    A room declares its own in a class below this one, and offers all of them. Each route requires
    exactly one (platform.web.authorization).
    """

    _value_: str
    granted_to: frozenset[Grantee]

    def __init_subclass__(cls) -> None:
        """Raise ValueError when a room's class has a word twice."""
        unique(cls)

    def __new__(cls, key: str, *granted_to: Grantee) -> Self:
        """Make a member of a room's class."""
        member = str.__new__(cls, key)
        member._value_ = key
        member.granted_to = frozenset(granted_to)
        return member


class SessionPermission(Permission):
    """Permissions of everybody, and of everybody who signed in."""

    #: nothing: anybody, without sign-in
    OPEN = "open", *Role, *NonUser
    #: a right password; the second factor may be owed
    COMPLETE_SIGN_IN = "entering", *Role, NonUser.PENDING_LOGIN
    #: a sign-in, whatever the role
    SIGNED_IN = "signed_in", *Role


def permissions_of(grantee: Grantee) -> frozenset[Permission]:
    """Return the registered permissions that this role, or actor without one, has."""
    return frozenset(each for each in offers(Permission) if grantee in each.granted_to)


def assignable_roles() -> tuple[Role, ...]:
    """Roles that may do something once signed in: those that are given to people."""
    return tuple(role for role in Role if permissions_of(role) - set(SessionPermission))


def check_permissions() -> None:
    """Raise OperationFailed that names a registered permission which nobody has."""
    for permission in offers(Permission):
        if not permission.granted_to:
            raise OperationFailed(f"nobody has permission {permission}: give it or remove it")
