"""Extension points of recordings: kinds of holds, and what retention depends on."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select

from callcenter.platform.core.registry import offers
from callcenter.platform.identity.permissions import Permission
from callcenter.recordings.permissions import RecordingPermission


@dataclass(frozen=True, slots=True)
class HoldKind:
    """Extension point: a kind of hold, by which the page of a held recording explains it.

    `label` stands before what the recording is held for. `path` and that lead to its page, for
    those with the permission.
    """

    key: str
    label: str
    permission: Permission
    path: str | None = None

    def reason(self, about: str) -> str:
        """The stored reason of a hold of this kind, such as `demand:26-0001`."""
        return f"{self.key}:{about}"


def find_kind(reason: str) -> tuple[HoldKind, str]:
    """The kind of a hold by its stored reason, and what it is for.

    A kind that no room offers is shown by its key.
    """
    key, _, about = reason.partition(":")
    unknown = HoldKind(key, f"{key}:", RecordingPermission.ERASE)
    return next((kind for kind in offers(HoldKind) if kind.key == key), unknown), about


@dataclass(frozen=True, slots=True)
class RetentionSubject:
    """Extension point: the appeals by whose kind and outcome recordings are retained.

    `query` selects appeal_id, number, kind (NULL without a record) and outcome.
    """

    query: Select[tuple[UUID, str, str | None, str | None]]
