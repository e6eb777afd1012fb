"""Composition of a request: what a person chose of the record, released and cleared (R23).

It begins empty. Nothing of a record is in a request but the fields that were chosen and the files
that were released, each by itself; the words are the person's own, and scanned before they leave.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

from callcenter.appeals.rules.fields import Content, FieldType, Form
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.requests.rules.allowed_fields import is_allowed
from callcenter.requests.rules.text_scan import TextFinding, scan_text

WORDS_LIMIT = 10_000  # characters
REASON_LIMIT = 300  # characters
NO_WORDS = N_("The request says nothing yet: write what the body is to do.")
NOT_SAFE = N_("The body may call or write: let it know how the person may safely be reached.")
NOT_CLEARED = N_("Something may identify somebody: take it out, or say that it may leave.")
ERASED = N_("A field that was chosen is empty in the record now: take it out.")
WRONG_WORDS = N_("the words have up to 10 000 characters that can be printed")
UNKNOWN_FIELD = N_("a chosen field is not in the record any more: look at it again")
NEEDS_REASON = N_(
    "a field that the body does not need as a rule has a reason, in up to 300 characters"
)


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """A file that somebody released into a request, alone and for a reason.

    `name` is the one that it leaves with: that of the record may say whose it is. Of a picture a
    copy leaves, without what it says of itself.
    """

    id: UUID
    name: str
    bytes: int
    sha256: str
    reason: str
    author: str  #: user:NAME
    original: UUID | None = None  #: the file of which it is a copy


@dataclass(frozen=True, slots=True)
class RequestDraft:
    """The choice of a person so far. `fields` have their reasons, empty if on the list."""

    words: str = ""
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cleared: frozenset[TextFinding] = frozenset()
    files: tuple[ReleasedFile, ...] = ()

    def values(self, content: Content) -> Content:
        """The part of a record's content that this request has."""
        return {key: content[key] for key in self.fields if key in content}


EMPTY = RequestDraft()


@dataclass(frozen=True, slots=True)
class RequestPackage:
    """A request as it leaves: the text in UTF-8, and files by name."""

    text: str
    files: tuple[ReleasedFile, ...]

    @property
    def sha256(self) -> str:
        """Hash of all that leaves, hexadecimal: of the text, then of names and bytes of files."""
        lines = [hashlib.sha256(self.text.encode()).hexdigest()]
        lines += [f"{each.sha256} {each.name}" for each in self.files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_choice(
    direction: str, words: str, reasons: Mapping[str, str], content: Content
) -> tuple[str, dict[str, str]]:
    """The words and the chosen fields with their reasons, trimmed. Raises InvalidRequest.

    `content` is what the person may see of the record: nobody chooses more.
    """
    text = words.strip().replace("\r\n", "\n")
    plain = text.replace("\n", "").replace("\t", "")
    if len(text) > WORDS_LIMIT or not (plain.isprintable() or not plain):
        raise InvalidRequest(WRONG_WORDS)
    chosen = {}
    for key, reason in reasons.items():
        said = reason.strip()
        if key not in content:
            raise InvalidRequest(UNKNOWN_FIELD)
        if len(said) > REASON_LIMIT or not (said.isprintable() or not said):
            raise InvalidRequest(NEEDS_REASON)
        if not said and not is_allowed(direction, key):
            raise InvalidRequest(NEEDS_REASON)
        chosen[key] = "" if is_allowed(direction, key) else said
    return text, chosen


def find_in_draft(
    draft: RequestDraft, form: Form, content: Content, public: Collection[str]
) -> list[TextFinding]:
    """Findings in the words and in the typed fields of a request, each once.

    What a field is for was chosen with it; what else it says is found.
    """
    typed = [
        value
        for key, value in draft.values(content).items()
        if isinstance(value, str) and _is_typed(form, key)
    ]
    found = (
        finding
        for text in (draft.words, *typed)
        for finding in scan_text(text, content, draft.fields, public)
    )
    return list(dict.fromkeys(found))


def list_obstacles(
    draft: RequestDraft, findings: Collection[TextFinding], content: Content
) -> list[str]:
    """Obstacles of a request: without any it may be made ready."""
    return [
        words
        for words, is_there in (
            (NO_WORDS, not draft.words),
            (ERASED, len(draft.values(content)) < len(draft.fields)),
            (NOT_SAFE, _lacks_safe_ways(draft, content)),
            (NOT_CLEARED, not draft.cleared.issuperset(findings)),
        )
        if is_there
    ]


def _lacks_safe_ways(draft: RequestDraft, content: Content) -> bool:
    """Whether a body could reach somebody, and is not given what they said about it."""
    reached = {key.rpartition(".")[0] for key in draft.fields if key.endswith((".phone", ".email"))}
    ways = {f"{person}.safe_ways" for person in reached}
    return not draft.fields.keys() >= (ways & content.keys())


def _is_typed(form: Form, key: str) -> bool:
    """Whether somebody may have written anything into a field."""
    found = form.field(key)
    return found is None or found.type in (FieldType.TEXT, FieldType.LONG_TEXT)
