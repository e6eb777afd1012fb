"""Brief of a caller for the consultant from the first ring on, audited once an hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.queries import are_calls_unwanted, read_caller_details
from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.rules.states import ENDED, AppealState
from callcenter.appeals.search.query import SearchHit, find_of_same_person
from callcenter.platform.identity.actor import Actor, audit_action_once

CONTACTS = 5  #: earlier appeals that are shown
AUDIT_INTERVAL = timedelta(hours=1)  # the stream of a page begins anew every few minutes


@dataclass(frozen=True, slots=True)
class CallerBrief:
    """A caller in short: the appeal of the call, agreements, and earlier appeals.

    `contacts` are the newest first; `open_count` of them are still dealt with. `details` are
    labels to translate with their texts, as of an agreed plan.
    """

    row: AppealRow
    calls_unwanted: bool
    details: Sequence[tuple[str, str]]
    contacts: Sequence[SearchHit]
    open_count: int


async def read_brief(connection: AsyncConnection, actor: Actor, number: str) -> CallerBrief | None:
    """Read the brief of the caller of an appeal, with an audit entry; None without the appeal."""
    row = await appeals.find(connection, number)
    if row is None:
        return None
    contacts = await find_of_same_person(connection, row.id)
    brief = CallerBrief(
        row=row,
        calls_unwanted=await are_calls_unwanted(connection, row.caller_number),
        details=await read_caller_details(connection, row.caller_number),
        contacts=contacts[:CONTACTS],
        open_count=sum(AppealState(each.stage) not in ENDED for each in contacts),
    )
    await audit_action_once(
        connection,
        actor,
        AppealAction.APPEAL_VIEWED,
        f"appeal:{number}",
        {"by": "workspace"},
        within=AUDIT_INTERVAL,
    )
    return brief
