"""Registry of rooms: a lower room finds the offers of higher ones and names none of them.

A room has one `room.py` with its `Room`. A lower room that asks something of all others declares a
class for it, its extension point (`AppealSection`, `PersonalData`, ...); a room offers objects
of that class; `offers(AppealSection)` gives all of them, in the order of the rooms. So a room that
is added changes no line of the rooms below it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from callcenter.platform.core.errors import OperationFailed

Offer = TypeVar("Offer")


@dataclass(frozen=True)
class Room:
    """A room: its web module, jobs and offers.

    `web` names the module with its `WEB_MODULE` (a `platform.web.context.WebModule`: routers,
    templates, menu) and `jobs` those that the worker loads before it serves, which declare
    background jobs or have a loop: processes that need none of them load none.
    `offers` are objects of extension points: permissions and audit actions of the room, loops of
    the worker, and whatever other rooms ask for.
    """

    name: str
    web: str | None = None
    jobs: tuple[str, ...] = ()
    offers: tuple[object, ...] = field(default=())


registered: list[Room] = []


def register_rooms(rooms: Sequence[Room]) -> None:
    """Make these the rooms of this process, in the order of pages and menus.

    Raises OperationFailed when two have one name, or two offers are one word (as of permissions and
    audit actions) or have one key among those of their class.
    """
    counted = Counter(f"room {room.name}" for room in rooms)
    counted.update(word for room in rooms for offer in room.offers if (word := _word_of(offer)))
    if twice := [word for word, count in counted.items() if count > 1]:
        raise OperationFailed(f"registered more than once: {', '.join(twice)}")
    registered[:] = rooms


def _word_of(offer: object) -> str | None:
    """The word by which an offer is known, which no other may have."""
    if isinstance(offer, str):
        return str(offer)
    key = getattr(offer, "key", None)
    return None if key is None else f"{type(offer).__name__} {key}"


def registered_rooms() -> tuple[Room, ...]:
    """All rooms. Raises OperationFailed when none were registered in this process."""
    if not registered:
        raise OperationFailed("no rooms are registered: import callcenter.bootstrap.rooms")
    return tuple(registered)


def offers(point: type[Offer]) -> tuple[Offer, ...]:
    """List the objects that all rooms offer to this extension point.

    Raises OperationFailed when no rooms were registered: nothing is ever left out silently.
    """
    return tuple(
        offer for room in registered_rooms() for offer in room.offers if isinstance(offer, point)
    )
