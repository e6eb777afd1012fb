"""Actions of the audit log: rooms declare theirs."""

from enum import StrEnum, unique
from typing import Self

from callcenter.platform.core.errors import N_

OPENS_PERSONAL_DATA = True  # of an `Action`


class Action(StrEnum):
    """Extension point: an action of a person, an API client or a command, and its words.

    A room declares its own in a class below this one, and offers all of them:
    `NAME = "source:subject:action", N_("What was done")`, with `OPENS_PERSONAL_DATA` as the third
    when somebody saw or heard what is personal, or tried to: the page of the appeal lists it.

    source   where it was done: `web` (pages and API), `command` (the command line), `telephone` or
             `controller` (by a process that carries out what it was ordered)
    subject  the kind of thing it was done to, such as appeal, recording, user, secret
    action   what was done, in the past tense

    Each part is `[a-z][a-z_]*`. Names are kept for ever in the log: never rename or reuse one.
    """

    _value_: str
    label: str  #: a message to be translated
    opens_personal_data: bool

    def __init_subclass__(cls) -> None:
        """Raise ValueError when a room's class has a word twice."""
        unique(cls)

    def __new__(cls, name: str, label: str, opens_personal_data: bool = False) -> Self:
        """Make a member of a room's class."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.label = label
        member.opens_personal_data = opens_personal_data
        return member

    @classmethod
    def named(cls, name: str) -> Self:
        """Find the action of this name. Raises KeyError."""
        return {str(each): each for each in cls}[name]


class SystemAction(Action):
    """Actions of whoever runs the system."""

    #: subject: its name
    SECRET_ACCEPTED = "command:secret:accepted", N_("Changed secret accepted")
