"""Call control API below /api/v1/calls/mine: hold, mute, transfer, consult."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.service import find_own_extension
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.telephony.acd.dependencies import CurrentCommands
from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.workspace import service
from callcenter.workspace.dependencies import ToWhom, What, WhichLanguage

router = APIRouter(tags=["calls"])


class CurrentCall(BaseModel):
    """The state of your call."""

    caller: Literal["here", "aside"] = Field(description="aside: hears music, and nobody else")
    muted: bool = Field(description="nobody hears you")
    guest: Literal["none", "called", "here"] = Field(description="whom you have brought")
    urgent: str = Field("", description="silent: cannot speak; danger; empty: neither")
    keys: str = Field("", description="what the caller pressed in this conversation, the last 20")
    heard: Literal["yes", "no", "unknown"] = Field(
        "unknown", description="whether any sound comes from the caller's telephone"
    )


@router.get("/api/v1/calls/mine", dependencies=[requires(ConsultantPermission.OWN_DUTY)])
async def read_own_call(
    site: CurrentSite, actor: CurrentActor, commands: CurrentCommands
) -> CurrentCall:
    """The state of your call."""
    extension = await find_own_extension(site.engine, actor)
    status = CallCommand("status", "self")
    return CurrentCall.model_validate(await commands.send_to_consultant(extension, status))


@router.post("/api/v1/calls/mine/{what}", dependencies=[requires(ConsultantPermission.OWN_DUTY)])
async def change_own_call(
    site: CurrentSite,
    actor: CurrentActor,
    commands: CurrentCommands,
    what: What,
    to: ToWhom = None,
    language: WhichLanguage = None,
) -> CurrentCall:
    """Send a command to your call; the answer is its state at once.

    `hold`: the caller hears music until you `resume`. `mute`: nobody hears you until you `unmute`.
    `hold_or_resume` and `mute_or_unmute` change from one to the other. `consult`: the consultant
    `to` is rung and talks with you, the caller hearing music; then you `hand_over`, bring all three
    `together`, or go `back` to the caller. `call` does the same with the telephone number `to`.
    `transfer`: the caller goes to the consultant `to` as soon as that one answers. A consultant is
    an extension, or anybody free with a skill and speaks the language: `skill:lawyer`, or with
    a level at least `skill:lawyer:3`. `queue`: the caller waits again, in the old place, for
    somebody who speaks `language`. `redirect`: the caller is told so and goes to 1414. `survey`:
    you leave, and the caller is asked for a mark. `ring_again`: your telephone is rung once more,
    as when its page was loaded anew; the caller hears music meanwhile. When the other side does not
    answer, or leaves, the caller comes back to you.
    """
    return CurrentCall.model_validate(
        await service.control_own_call(site.engine, commands, actor, what, to, language)
    )
