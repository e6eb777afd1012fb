"""Words that are kept, or by which others know us, keep their values, whatever code is called."""

import re
from typing import Any

import psycopg
import pytest

from callcenter.consultants.redis_script import DistributorUnavailable
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ari import AriRequestFailed, AriUnavailable
from callcenter.telephony.calls.journal.journal import EntryRefused
from callcenter.telephony.controller.fallback import fallback_reason
from tests.persisted.words import (
    channels,
    columns,
    metrics_of_worker,
    notified_by_triggers,
    words,
)
from tests.persisted.write import WORDS, read_written

WRITTEN_WORDS: dict[str, Any] = read_written(WORDS)
#: The API describes no values of these: rooms say which there are, as an enumeration did.
REPORTED_BY_ROOMS = (
    "GET /api/v1/work-lists 200 application/json [].list = ",
    "GET /api/v1/work-lists/{} path:which = ",
)
#: What was an enumeration and is offered by rooms, by the extension point that it is now.
OFFERED_BY_ROOMS = {
    "callcenter.audit.actions.Action": "callcenter.platform.audit.actions.Action",
    "callcenter.consultants.alarms.Alarm": "callcenter.platform.monitoring.alerts.AlertKind",
    "callcenter.register.lists.List": "callcenter.appeals.search.worklists.WorkList",
    "callcenter.register.masking.Goes": (
        "callcenter.appeals.record.personal_data.PersonalDataPart"
    ),
    "callcenter.register.masking.Keeps": "callcenter.appeals.masking.retention.RetentionReason",
    "callcenter.web.permissions.Permission": "callcenter.platform.identity.permissions.Permission",
}
#: Values that enumerations got since.
ADDED = {
    "callcenter.demands.matching.Caution": {"empty"},
    "callcenter.ledger.differences.Kind": {"call not ended", "recording not ended"},
    "callcenter.line.outcomes.Moment": {"alerted", "recording_empty", "refused"},
    "callcenter.promises.states.State": {"unwanted"},
}
#: A version before listens on them, and triggers of the database notify.
NOTIFY_CHANNELS = [
    "blocked_numbers",
    "caller_plans",
    "closed_recordings",
    "open_appeals",
    "open_callbacks",
    "portal_message",
    "sessions",
    "telephones",
]
LISTS = ("settings", "folders", "commands", "metrics", "routes", "api")


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return words()


@pytest.mark.parametrize("kind", LISTS)
def test_no_word_is_gone(kind: str, now: dict[str, Any]) -> None:
    gone = {nameless(each) for each in WRITTEN_WORDS[kind]} - {nameless(each) for each in now[kind]}
    assert sorted(each for each in gone if not each.startswith(REPORTED_BY_ROOMS)) == []


def nameless(word: str) -> str:
    """Without what a part of a path is called: nobody sends that."""
    return re.sub(r"\{\w+\}", "{}", word)


def test_constants_have_the_values_that_they_had(now: dict[str, Any]) -> None:
    assert now["constants"] == WRITTEN_WORDS["constants"]


@pytest.mark.parametrize("name", WRITTEN_WORDS["enumerations"])
def test_an_enumeration_has_exactly_its_own_values(name: str, now: dict[str, Any]) -> None:
    """By whatever name it goes now; rooms may offer more, and do not offer less."""
    before, today = set(WRITTEN_WORDS["enumerations"][name]), now["enumerations"]
    if name in OFFERED_BY_ROOMS:
        assert before <= set(today[OFFERED_BY_ROOMS[name]])
    else:
        assert before | ADDED.get(name, set()) in [set(values) for values in today.values()]


def test_the_channels_of_notify_keep_their_names() -> None:
    assert sorted(channels()) == NOTIFY_CHANNELS


def test_triggers_notify_on_channels_that_processes_listen_on(database: str) -> None:
    with psycopg.connect(database) as connection:
        notified = notified_by_triggers(connection)
    assert notified == set(NOTIFY_CHANNELS) - {"blocked_numbers", "caller_plans", "portal_message"}


def test_no_column_is_gone(settings: Settings, database: str) -> None:
    with psycopg.connect(database) as connection:
        assert sorted(set(WRITTEN_WORDS["columns"]) - set(columns(connection))) == []


@pytest.mark.usefixtures("database", "redis_url")
async def test_the_worker_reports_what_it_reported(settings: Settings) -> None:
    reported = await metrics_of_worker(settings)
    assert sorted(set(WRITTEN_WORDS["metrics of the worker"]) - set(reported)) == []


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (DistributorUnavailable(), "DeskClosed"),
        (AriUnavailable(), "Unreachable"),
        (AriRequestFailed("no such application", 404), "Refused"),
        (DependencyUnavailable(), "NotReady"),
        (EntryRefused(), "WeFailed"),
        (KeyError("x"), "KeyError"),
    ],
)
def test_fallback_reasons_keep_their_stored_words(error: Exception, word: str) -> None:
    assert fallback_reason(error) == word
