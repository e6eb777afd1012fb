"""Demands on a real database: people, letters, and what was recorded."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from callcenter.appeals.number import make
from callcenter.demands.deeds import Filing
from callcenter.demands.matching import Wanted
from callcenter.demands.terms import Term, Unit
from callcenter.web.permissions import Role
from callcenter.web.site import Visit
from callcenter.web.store import User

APPEAL = make(26, 1)
PDF = b"%PDF-1.7 a letter"


def person(name: str, role: Role = Role.RECORDS_OFFICER) -> Visit:
    """Somebody who is signed in."""
    user = User(uuid4(), name, "-", role, active=True, created_at=datetime.now(UTC))
    return Visit(user, "10.0.0.1")


OFFICER = person("officer")
HEAD = person("head", Role.HEAD)


def filing(**changed: object) -> Filing:
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
        "term": Term(Unit.WORKING_DAYS, 3),
        "wanted": Wanted(appeal_number=APPEAL),
        "scan": PDF,
    }
    return Filing(**values | changed)  # type: ignore[arg-type]
