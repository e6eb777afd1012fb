"""Dependencies and form fields of the wallboard's routes, API and pages alike."""

from typing import Annotated

from fastapi import Depends, Form
from pydantic import StringConstraints
from starlette.requests import Request

from callcenter.platform.web.context import CurrentSite
from callcenter.telephony.acd.queue_control import QueueControl
from callcenter.wallboard.live_feed import LiveFeed


def live_feed_of(request: Request) -> LiveFeed:
    """The live feed of the site that this request came to."""
    feed: LiveFeed = request.app.state.live_feed
    return feed


def queue_control(site: CurrentSite) -> QueueControl:
    """The queue control of this site."""
    return QueueControl(site.redis, site.settings)


CurrentFeed = Annotated[LiveFeed, Depends(live_feed_of)]
CurrentQueueControl = Annotated[QueueControl, Depends(queue_control)]
Minutes = Annotated[float, Form(gt=0, le=60)]
ReasonText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=200)]
Reason = Annotated[ReasonText, Form()]
AlertGroupId = Annotated[str, Form(alias="id", max_length=200)]
Seen = Annotated[float, Form(allow_inf_nan=False, description="`at` of the group as it was read")]
