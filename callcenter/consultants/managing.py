"""What the head and administrators change of consultants: kept, audited, and told to the desk."""

import logging
from collections.abc import Mapping, Sequence

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.consultants import store, terms
from callcenter.consultants.roster import tell_changes
from callcenter.consultants.script import DeskClosed, Script
from callcenter.consultants.skills import as_words
from callcenter.consultants.teams import read_team
from callcenter.consultants.terms import Kind, Term
from callcenter.storage.engine import unit_of_work
from callcenter.web.site import Site, Visit

log = logging.getLogger(__name__)

_PUT = {Kind.SKILL: Action.SKILL_KEPT, Kind.PAUSE_REASON: Action.PAUSE_REASON_KEPT}


async def change_consultant(
    site: Site,
    visit: Visit,
    extension: str,
    languages: Sequence[str],
    skills: Mapping[str, int],
    team: str | None = None,
) -> None:
    """Give a consultant these, and a team ("": none; None: as it is).

    Raises AskedWrongly, and then nothing changed.

    It counts for the next call: at once, or within a minute when Redis is away.
    """
    async with unit_of_work(site.engine) as connection:
        await store.set_languages(connection, extension, languages)
        await store.set_skills(connection, extension, skills)
        if team is not None:
            await store.set_team(connection, extension, read_team(team))
        await record(
            connection,
            who=visit.who,
            action=Action.CONSULTANT_CHANGED,
            subject=f"consultant:{extension}",
            detail={
                "languages": ",".join(languages),
                "skills": as_words(skills),
                **({} if team is None else {"team": read_team(team) or ""}),
            },
            from_address=visit.address,
        )
    await _tell(site)


async def put_term(site: Site, visit: Visit, kind: Kind, term: Term) -> None:
    """Add to a list of the center, or change an entry. Raises AskedWrongly."""
    async with unit_of_work(site.engine) as connection:
        await terms.put(connection, kind, term)
        await record(
            connection,
            who=visit.who,
            action=_PUT[kind],
            subject=f"{kind.value}:{term.code}",
            detail={
                "kk": term.name_kk,
                "ru": term.name_ru,
                "active": term.active,
                **({} if term.key is None else {"key": term.key}),
            },
            from_address=visit.address,
        )
    await _tell(site)  # a skill that is not used any more is nobody's


async def _tell(site: Site) -> None:
    try:
        await tell_changes(Script(site.redis, site.settings), site.engine)
    except DeskClosed as exc:
        log.error("the desk does not know of a change yet: %s", exc)
