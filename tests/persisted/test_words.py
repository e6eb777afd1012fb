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
from tests.persisted.words import columns, metrics_of_worker, words
from tests.persisted.write import WORDS, read_written

WRITTEN_WORDS: dict[str, Any] = read_written(WORDS)
#: The API describes no values of these: rooms say which there are, as an enumeration did.
REPORTED_BY_ROOMS = (
    "GET /api/v1/work-lists 200 application/json [].list = ",
    "GET /api/v1/work-lists/{} path:which = ",
)
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
def test_an_enumeration_has_all_its_values(name: str, now: dict[str, Any]) -> None:
    """By whatever name it goes now."""
    before = set(WRITTEN_WORDS["enumerations"][name])
    assert any(before <= set(values) for values in now["enumerations"].values())


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
