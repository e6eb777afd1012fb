"""Rows of the audit log in words, on the page and in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.rules.hash_chain import Entry
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.registry import offers


def _label_actions() -> dict[str, str]:
    return {action.value: action.label for action in offers(Action)}


@dataclass(frozen=True)
class AuditLabels:
    """Words of the audit log in one language."""

    words: Translator
    _actions: Mapping[str, str] = field(init=False, default_factory=_label_actions)

    def action(self, action: str) -> str:
        """The words of an action; one of an earlier version, which no room offers, as it stands."""
        return self.words.plain(self._actions[action]) if action in self._actions else action

    def choices(self) -> list[tuple[str, str]]:
        """Actions with their words, in the order of these."""
        found = ((action, self.action(action)) for action in self._actions)
        return sorted(found, key=lambda each: each[1])

    def detail(self, entry: Entry) -> str:
        return ", ".join(f"{name}: {value}" for name, value in entry.detail.items())

    def address(self, name: str, value: str) -> str:
        """The query of the page for all entries of a person or a subject."""
        return urlencode({name: value})

    def heading(self) -> Sequence[str]:
        """The names of the columns of a file."""
        columns = (
            N_("Number"),
            N_("When"),
            N_("Who"),
            N_("What was done"),
            N_("Action"),
            N_("With what"),
            N_("Details"),
            N_("From address"),
        )
        return [self.words.plain(each) for each in columns]

    def row(self, entry: Entry) -> Sequence[str]:
        """A line of a file, under `heading`."""
        return [
            str(entry.id),
            self.words.moment(entry.at),
            entry.who,
            self.action(entry.action),
            entry.action,
            entry.subject,
            self.detail(entry),
            entry.from_address or "",
        ]
