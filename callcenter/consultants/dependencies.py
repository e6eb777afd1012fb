"""Dependencies and form fields of the routes about consultants, API and pages alike."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Form

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import DistributorScript
from callcenter.consultants.reference_lists import ListEntry
from callcenter.platform.web.context import CurrentSite


def presence_service(site: CurrentSite) -> PresenceService:
    """The presence service of this site."""
    return PresenceService(site.redis, site.settings)


def distributor_script(site: CurrentSite) -> DistributorScript:
    """The ACD's script of this site."""
    return DistributorScript(site.redis, site.settings)


def read_entry_form(
    code: Annotated[str, Form(max_length=40)],
    name_kk: Annotated[str, Form(max_length=200)],
    name_ru: Annotated[str, Form(max_length=200)],
    active: Annotated[bool, Form()] = False,
    key: Annotated[int | None, Form(ge=0, le=9)] = None,
) -> ListEntry:
    """A list entry from a form; a box that is not ticked is not sent.

    `key` is of reasons of pauses: 0 is none, and one that is not sent stays as it is.
    """
    return ListEntry(code, name_kk, name_ru, active, key)


def read_levels(form: Mapping[str, str]) -> dict[str, int]:
    """Levels by skill from a form; an empty one is left out.

    Anything but a number is 0, which is refused later.
    """
    named = {name.removeprefix("level_"): value for name, value in form.items() if "level_" in name}
    return {code: int(value) if value.isdecimal() else 0 for code, value in named.items() if value}


CurrentPresenceService = Annotated[PresenceService, Depends(presence_service)]
CurrentScript = Annotated[DistributorScript, Depends(distributor_script)]
EntryForm = Annotated[ListEntry, Depends(read_entry_form)]
ReasonCode = Annotated[str | None, Form(max_length=40)]
