"""Guides: what key ? tells of a page, in plain words, to the role that looks at it."""

from dataclasses import dataclass

from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Permission, SessionPermission


@dataclass(frozen=True)
class GuideLine:
    """A sentence or two for those who have `permission` and not `without`.

    `%(key)s` in it is that key.
    """

    text: str
    permission: Permission = SessionPermission.SIGNED_IN
    without: Permission | None = None
    key: str = ""

    def is_for(self, actor: Actor) -> bool:
        """Whether it concerns the role of this actor."""
        is_without = self.without is None or not actor.may(self.without)
        return is_without and actor.may(self.permission)


@dataclass(frozen=True)
class GuideKey:
    """A key of the page, as it is written on keyboards, and what it does."""

    key: str
    action: str
    permission: Permission = SessionPermission.SIGNED_IN


@dataclass(frozen=True)
class Guide:
    """The guide of the page with this template, which belongs to the room of the page.

    `purpose`: what the page is for; `steps`: what to do first; `troubles`: what can go wrong, and
    what to do then. With a picture, the room has one in its static files for each language.
    """

    page: str
    purpose: str
    steps: tuple[GuideLine, ...] = ()
    keys: tuple[GuideKey, ...] = ()
    troubles: tuple[GuideLine, ...] = ()
    has_picture: bool = False

    def picture(self, language: str) -> str:
        """The name of the picture's file."""
        return f"guide-{self.page.removesuffix('.html').replace('/', '-')}-{language}.webp"
