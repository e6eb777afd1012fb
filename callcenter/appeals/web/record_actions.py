"""Actions on an appeal from its panel: a refusal is shown at its place there."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.edit_conflict import EditConflict
from callcenter.appeals.rules.states import IllegalTransition, MissingRequirements
from callcenter.appeals.web.appeal_view import PLACES, PanelState, appeal_page, panel
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.page_actions import SEE_OTHER, run_action

Result = TypeVar("Result")
#: The event of htmx (HX-Trigger) after each change, with the number of the appeal.
CHANGED = "appeal-changed"


@dataclass(frozen=True, slots=True)
class RecordAction:
    """An action of one person on one record, as its panel requests it.

    htmx gets the panel anew; a browser without it is led to the page.
    """

    request: Request
    site: AppContext
    actor: Actor
    number: str

    @property
    def scope(self) -> tuple[AsyncEngine, RecordKeys, Actor, str]:
        """The first arguments of services of records."""
        return self.site.engine, record_keys(self.site), self.actor, self.number

    @property
    def is_of_panel(self) -> bool:
        """Whether htmx asks, which puts the answer in the place of the panel."""
        return self.request.headers.get("hx-request") == "true"

    async def run(
        self,
        call: Awaitable[Result],
        then: Callable[[Result], str] | None = None,
        *,
        place: str = "record",
    ) -> Response:
        """Await a service call and show the appeal, or the one that `then` makes of the result.

        A refusal is shown at `place`: one of `appeal_view.PLACES`, or the anchor of a section.
        """

        async def finish(result: Result) -> Response:
            return await self.finish(then(result) if then else self.number, place)

        async def show(refusal: InvalidRequest) -> Response:
            whole = place == "join" and isinstance(refusal, EditConflict | MissingRequirements)
            return await self.show(PanelState(refusal=refusal, place="record" if whole else place))

        # A number that is typed may be that of no appeal; any other is that of the page.
        reraise = () if place == "join" or self.is_of_panel else (NotFound, IllegalTransition)
        return await run_action(call, finish, show, reraise=reraise)

    async def show(self, state: PanelState) -> Response:
        """The panel or the page with what this action left."""
        render = panel if self.is_of_panel else appeal_page
        return await render(self.request, self.site, self.actor, self.number, state)

    async def finish(self, number: str, place: str = "record") -> Response:
        """Show that it is done, at the place of the action on the appeal of this number."""
        if not self.is_of_panel:
            anchor = "" if place in PLACES and place != "files" else f"#{place}"
            return RedirectResponse(f"{appeal_path(number)}{anchor}", SEE_OTHER)
        done = PanelState(is_done=True, place=place)
        response = await panel(self.request, self.site, self.actor, number, done)
        response.headers["HX-Trigger"] = json.dumps({CHANGED: {"number": number}})
        return response


def appeal_path(number: str) -> str:
    """The address of the page of an appeal."""
    return f"/appeals/{number}"


def record_action(
    request: Request, site: CurrentSite, actor: CurrentActor, number: str
) -> RecordAction:
    """`RecordAction` of this request."""
    return RecordAction(request, site, actor, number)


CurrentRecord = Annotated[RecordAction, Depends(record_action)]
