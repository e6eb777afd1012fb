"""View of the workspace at one moment: own presence, own call, queue, colleagues."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TypedDict

from callcenter.intake.rules.queue import WrittenContact
from callcenter.wallboard.live_feed import LiveSnapshot
from callcenter.wallboard.rules import NOTHING_WRITTEN, ConsultantFigures, Figures
from callcenter.workspace.own_call import OwnCall

RUNG = "ringing"  #: the group of a consultant to whom a call is offered
WRAP_UP = "wrap_up"  #: the group of a consultant after a conversation


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """One moment for one consultant; two are equal when a page shows the same for both.

    `own` is None while the queue does not answer; its `for_s` is 0, the seconds are in
    `for_seconds`, which a page counts on by itself. `figures` are what labels need besides.
    """

    own: ConsultantFigures | None
    call: OwnCall
    waiting: int = 0
    urgent: int = 0  #: of those who wait
    free: int = 0
    at_work: int = 0
    cut_off: int = 0  #: callers whom a fault cut off, undecided
    written: Sequence[WrittenContact] = ()  #: offered to the consultant, or in hand
    written_waiting: int = 0  #: that nobody has read, for anybody
    written_urgent: int = 0  #: of these
    wrap_up_ends: float | None = None  #: in epoch seconds; not while it is held
    is_wrap_up_held: bool = False  #: up to its limit: the record is not saved
    for_seconds: int = field(default=0, compare=False)
    left_seconds: int = field(default=0, compare=False)  #: of wrap-up
    figures: Figures | None = field(default=None, compare=False)

    def is_other_for_its_consultant(self, shown: "WorkspaceView") -> bool:
        """Whether more differs than how many wait and are free."""
        mine = attrgetter("own", "call", "wrap_up_ends", "is_wrap_up_held", "cut_off", "written")
        return mine(self) != mine(shown)

    @property
    def is_rung(self) -> bool:
        """Whether a call is offered, and not answered yet."""
        return self.own is not None and self.own.group == RUNG

    def seconds_left(self, contact: WrittenContact) -> int:
        """Seconds until an offered contact goes back to the queue."""
        if contact.offered_until is None or self.figures is None:
            return 0
        return max(0, math.ceil(contact.offered_until.timestamp() - self.figures.at))


class _OfAnyPresence(TypedDict):
    """The part of a view that does not depend on the ACD."""

    cut_off: int
    written: Sequence[WrittenContact]
    written_waiting: int
    written_urgent: int


def make_view(
    now: LiveSnapshot, extension: str, user: str, call: OwnCall, wrap_up_limit: float
) -> WorkspaceView:
    """The view of this consultant; without presence when it is unknown, or who was removed."""
    figures = now.figures
    queue = now.today.written if now.today else NOTHING_WRITTEN
    always = _OfAnyPresence(
        cut_off=figures.today.cut_off if figures.today else 0,
        written=queue.held_by(user),
        written_waiting=queue.waiting,
        written_urgent=queue.urgent,
    )
    if figures.acd is None:
        return WorkspaceView(None, call, figures=figures, **always)
    own = find_own(figures, extension)
    ends, left = now.wrap_up_of(extension) or (None, 0)
    is_held = own is not None and own.group == WRAP_UP and call.is_unsaved
    if own is not None and is_held:
        ends, left = None, max(left, wrap_up_limit - own.for_s)
    return WorkspaceView(
        own=None if own is None else replace(own, for_s=0),
        call=call,
        waiting=figures.acd.waiting.count,
        urgent=figures.acd.waiting.urgent,
        free=figures.acd.groups["free"],
        at_work=len(figures.acd.consultants) - figures.acd.groups["signed_out"],
        **always,
        wrap_up_ends=ends,
        is_wrap_up_held=is_held,
        for_seconds=0 if own is None else own.for_s,
        left_seconds=math.ceil(left),
        figures=figures,
    )


def find_own(figures: Figures, extension: str) -> ConsultantFigures | None:
    """The figures of a consultant; None when they are unknown, or the consultant was removed."""
    if figures.acd is None:
        return None
    return next((each for each in figures.acd.consultants if each.extension == extension), None)
