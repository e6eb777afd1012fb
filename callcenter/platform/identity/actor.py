"""The actor of an action: its user, API client or command, its address and permissions.

Services take an `Actor` and know nothing of requests: pages, the API, an API client and the command
line all make one (`callcenter.platform.web.context` of a request).
"""

import getpass
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.audit import store as audit
from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.rules.hash_chain import Detail
from callcenter.platform.core.errors import Forbidden
from callcenter.platform.identity.permissions import Grantee, NonUser, Permission
from callcenter.platform.identity.store import User


@dataclass(frozen=True, slots=True)
class Actor:
    """A user, an API client or a command; `user` is None for an anonymous visitor.

    `pending` is the user of a sign-in that waits for the second factor. `machine` is the name of
    an API client, and `scopes` are the permissions of its token. `command` is the account of the
    operating system that runs `callcenter ...`, or the name of a process that acts by itself.
    `address` is an IP address, "" at the command line.
    """

    user: User | None
    address: str = ""
    pending: User | None = None
    machine: str | None = None
    scopes: Collection[str] = ()
    command: str | None = None

    @classmethod
    def of_command(cls) -> "Actor":
        """The actor of the running command."""
        return cls(None, command=getpass.getuser())

    @property
    def who(self) -> str:
        """The name in the audit log: `user:NAME`, `machine:NAME`, `system:NAME`, `anonymous`."""
        if self.machine is not None:
            return f"machine:{self.machine}"
        if self.command is not None:
            return f"system:{self.command}"
        return f"user:{self.user.name}" if self.user else "anonymous"

    @property
    def name(self) -> str:
        """The name of the user; of others the name in the audit log, which no user has."""
        return self.user.name if self.machine is None and self.user else self.who

    @property
    def source(self) -> str:
        """The channel of the actor: `web` for pages and API, `command` for the command line."""
        return "web" if self.command is None else "command"

    @property
    def grantee(self) -> Grantee:
        """The role of the user, or what the actor is without one."""
        if self.machine is not None:
            return NonUser.MACHINE
        if self.user is None:
            return NonUser.PENDING_LOGIN if self.pending else NonUser.VISITOR
        return self.user.role

    def may(self, permission: Permission) -> bool:
        """Whether the role of the person, or the token of the API client, has this permission.

        A command is granted nothing: what it may do is decided by who may run it.
        """
        if self.machine is not None and permission.value not in self.scopes:
            return False
        return self.grantee in permission.granted_to

    def require(self, permission: Permission) -> None:
        """Raise Forbidden when the actor does not have this permission."""
        if not self.may(permission):
            raise Forbidden


def name_of(who: str) -> str:
    """The name to show of who did something: without `user:`; of others as in the audit log."""
    return who.removeprefix("user:")


async def audit_action(
    connection: AsyncConnection,
    actor: Actor,
    action: Action,
    subject: str,
    detail: Detail | None = None,
) -> None:
    """Add the actor's entry to the audit log in this transaction; see `audit.store.record`."""
    await audit.record(
        connection,
        who=actor.who,
        action=action,
        subject=subject,
        detail=detail,
        from_address=actor.address or None,
    )


async def audit_action_once(
    connection: AsyncConnection,
    actor: Actor,
    action: Action,
    subject: str,
    detail: Detail | None = None,
    *,
    within: timedelta,
) -> None:
    """Add the actor's entry, but no second like it within that time; see `audit.store`."""
    await audit.record_once(
        connection,
        within=within,
        who=actor.who,
        action=action,
        subject=subject,
        detail=detail,
        from_address=actor.address or None,
    )
