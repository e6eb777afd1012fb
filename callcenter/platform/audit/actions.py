"""Actions of the audit log: rooms declare theirs."""

from enum import StrEnum, unique


class Action(StrEnum):
    """Extension point: an action of a person, an API client or a command.

    A room declares its own in a class below this one, and offers all of them. They are named
    `source:subject:action`:

    source   where it was done: `web` (pages and API), `command` (the command line), `telephone` or
             `controller` (by a process that carries out what it was ordered)
    subject  the kind of thing it was done to, such as appeal, recording, user, secret
    action   what was done, in the past tense

    Each part is `[a-z][a-z_]*`. Names are kept for ever in the log: never rename or reuse one.
    """

    def __init_subclass__(cls) -> None:
        """Raise ValueError when a room's class has a word twice."""
        unique(cls)


class SystemAction(Action):
    """Actions of whoever runs the system."""

    SECRET_ACCEPTED = "command:secret:accepted"  # noqa: S105 - subject: its name
