"""The roster: who may be offered calls, with languages and skills, as PostgreSQL tells the desk."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import history, store
from callcenter.consultants.history import Change
from callcenter.consultants.script import Script
from callcenter.consultants.skills import as_words
from callcenter.consultants.store import Consultant
from callcenter.storage.engine import unit_of_work

NOTHING_KNOWN: Mapping[str, Change] = MappingProxyType({})


async def tell_roster(
    do: Script, consultants: Iterable[Consultant], known: Mapping[str, Change] = NOTHING_KNOWN
) -> None:
    """Replace the roster, see `Desk.tell_roster`. Raises DeskClosed."""
    told: list[str] = []
    for each in consultants:
        told += [
            each.extension,
            " ".join(each.languages),
            as_words(each.skills),
            *_as_known(known.get(each.extension)),
        ]
    await do("roster", *told)


async def tell_changes(do: Script, engine: AsyncEngine) -> None:
    """Have the desk know what was just changed and committed. Raises DeskClosed.

    Should that fail, a controller tells it within a minute.
    """
    async with unit_of_work(engine) as connection:
        known = await history.last_changes(connection)
        consultants = await store.active(connection)
    await tell_roster(do, consultants, known)


def _as_known(last: Change | None) -> tuple[str, str, str]:
    if last is None:
        return "", "", ""
    return last.state.value, last.reason or "-", f"{last.at.timestamp():.6f}"
