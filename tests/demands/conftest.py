"""Demands on a real database: people, letters, and what was recorded."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from callcenter.appeals.rules.number import make
from callcenter.demands.demand_form import DemandForm, LetterFields, read_letter, read_scan
from callcenter.demands.rules.deadlines import DeadlineTerm, DemandTimeUnit
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from tests.calendars import PACKAGED

APPEAL = make(26, 1)
PDF = b"%PDF-1.7 a letter"


def person(name: str, role: Role = Role.RECORDS_OFFICER) -> Actor:
    """Somebody who is signed in."""
    user = User(uuid4(), name, "-", role, active=True, created_at=datetime.now(UTC))
    return Actor(user, "10.0.0.1")


OFFICER = person("officer")
HEAD = person("head", Role.HEAD)


def demand_form(**changed: object) -> DemandForm:
    """A demand of the authority for an appeal, to be answered within three working days."""
    values: dict[str, object] = {
        "sender": "",
        "letter_number": "03-2/117",
        "letter_date": date.today() - timedelta(days=1),
        "ground": "Правила, п. 6",
        "signatory": "А. Ахметов, вице-министр",
        "came_by": "paper",
        "hand_over_by": "download",
        "received_at": datetime.now(UTC) - timedelta(hours=1),
        "term": DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 3),
    }
    values |= changed
    criteria = values.pop("criteria", SearchCriteria(appeal_number=APPEAL))
    scan = values.pop("scan", PDF)
    assert isinstance(criteria, SearchCriteria)
    assert isinstance(scan, bytes)
    letter = read_letter(LetterFields(**values), datetime.now(UTC), PACKAGED)  # type: ignore[arg-type]
    return DemandForm(letter, criteria, read_scan(scan))
