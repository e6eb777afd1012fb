"""Generates invented requests to state bodies, handed over soon after the appeal."""

import json
import random
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.labels import RecordLabels
from callcenter.appeals.rules.fields import Content, Form
from callcenter.bodies.rules.directory import Directory
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.timezone import ZONE
from callcenter.requests import store
from callcenter.requests.request_text import compose
from callcenter.requests.rules.composition import RequestDraft
from callcenter.requests.rules.states import RequestState, RequestStep
from callcenter.requests.tables import body_request, body_request_step

HANDED_OVER_AFTER = timedelta(minutes=40)
SAMPLES = Path(__file__).with_suffix(".json")

Row = tuple[Any, ...]
Rows = dict[Table, list[Row]]  #: of an appeal
#: Columns that are filled.
REQUEST_COLUMNS = {
    body_request: "id appeal_id body direction language state version begun_at author number dated"
    " due_on notified_at sealed chosen",
    body_request_step: "request_id ordinal step state at author sealed package sha256",
}
NOTIFIED_BY = {"kk": "Телефон арқылы айтылды.", "ru": "Сообщено по телефону."}


class RequestGenerator:
    """Generates rows of requests, by table. The same seed gives the same requests."""

    def __init__(
        self, form: Form, directory: Directory, keys: RecordKeys, chance: random.Random
    ) -> None:
        self._bodies = [each for each in directory.bodies.values() if each.directions]
        self._labels = {each: RecordLabels(Translator(each), form) for each in CALLER_LANGUAGES}
        self._samples = json.loads(SAMPLES.read_text(encoding="utf-8"))
        self._keys = keys
        self._chance = chance

    def request(
        self,
        appeal_id: UUID,
        number: str,
        language: str,
        content: Content,
        *,
        received_at: datetime,
        due_on: date,
        author: str,
        now: datetime,
    ) -> tuple[str, Rows]:
        """The number that a body gave to a request of this appeal, and the rows of the request."""
        chance = self._chance
        identity = UUID(int=chance.getrandbits(128), version=4)
        body = chance.choice(self._bodies)
        sent_at = min(received_at + HANDED_OVER_AFTER, now)
        dated = sent_at.astimezone(ZONE).date()
        reference = f"ЗТ-{dated:%Y}-{chance.randrange(10**6):06}"
        draft = RequestDraft(chance.choice(self._samples[language]), {"content": ""})
        say = self._labels[language]
        package = compose(say, body, number, received_at, draft, content, dated)
        request = store.seal_draft(self._keys, identity, draft) | {
            "id": identity,
            "appeal_id": appeal_id,
            "body": body.code,
            "direction": body.directions[0],
            "language": language,
            "state": RequestState.SENT.value,
            "version": 4,
            "begun_at": received_at,
            "author": author,
            "number": reference,
            "dated": dated,
            "due_on": due_on,
            "notified_at": sent_at,
        }
        step = {"request_id": identity, "at": sent_at, "author": author}
        readied = store.seal_step(self._keys, identity, "", package) | {
            "ordinal": 1,
            "step": RequestStep.READIED.value,
            "state": RequestState.WAITING.value,
        }
        sent = {"ordinal": 2, "step": RequestStep.SENT.value, "state": RequestState.SENT.value}
        notified = store.seal_step(self._keys, identity, NOTIFIED_BY[language]) | {
            "ordinal": 3,
            "step": RequestStep.NOTIFIED.value,
            "state": RequestState.SENT.value,
        }
        steps = [step | each for each in (readied, sent, notified)]
        return reference, {
            body_request: [_row(body_request, request)],
            body_request_step: [_row(body_request_step, each) for each in steps],
        }


def _row(table: Table, values: dict[str, Any]) -> Row:
    return tuple(values.get(name) for name in REQUEST_COLUMNS[table].split())
