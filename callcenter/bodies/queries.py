"""Read models of the directory of state bodies."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.form.store import read_form
from callcenter.appeals.rules.fields import Form
from callcenter.bodies import store
from callcenter.bodies.rules.directory import Body, Directory
from callcenter.platform.core.errors import NotFound
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import unit_of_work


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """The directory and the form at a moment: contacts grow stale."""

    directory: Directory
    form: Form
    at: datetime

    @property
    def today(self) -> date:
        return self.at.astimezone(ZONE).date()

    def body(self, code: str) -> Body:
        """The body of this code. Raises NotFound."""
        if code not in self.directory.bodies:
            raise NotFound("there is no such body in the directory")
        return self.directory.bodies[code]


async def view_directory(engine: AsyncEngine) -> DirectoryView:
    """The directory as it is now."""
    async with unit_of_work(engine) as connection:
        directory = await store.read_directory(connection)
        return DirectoryView(directory, await read_form(connection), datetime.now(UTC))
