"""From the journal into the tables: a batch of entries is one transaction, a kind one statement."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import psycopg
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals import outgoing
from callcenter.appeals import store as appeals
from callcenter.appeals.outgoing import Outgoing
from callcenter.appeals.store import Change, Closing, EventRow, Opening
from callcenter.controller.recovery import ask_for_check
from callcenter.dialling import beginning
from callcenter.errors import WeFailed
from callcenter.line.backlog import Backlog
from callcenter.line.entries import (
    BecameUrgent,
    CallbackPromised,
    Closed,
    ConsultantSettled,
    Entry,
    Happened,
    LanguageSettled,
    MessageEmpty,
    MessagePromised,
    Opened,
    OutgoingBegan,
    OutgoingCarried,
    OutgoingClosed,
    PromiseEnded,
    RecordingBegan,
    RecordingEnded,
)
from callcenter.line.inheritance import Inheritance
from callcenter.line.journal import EntryRefused, Journal
from callcenter.line.outcomes import Moment
from callcenter.promises import store as promises
from callcenter.promises.states import State
from callcenter.recordings import store as recordings
from callcenter.recordings.store import Beginning
from callcenter.settings import Settings
from callcenter.storage.direct import Direct
from callcenter.storage.engine import Transaction

#: Errors of psycopg's and of SQLAlchemy's that come again however often the same is written.
AT_FAULT = (
    *(psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError),
    *(IntegrityError, DataError, ProgrammingError),
)
Kind = TypeVar("Kind")


class Writing:
    """One journal's way to the database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Direct(engine)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write a batch in one transaction; may be repeated.

        Raises EntryRefused when the entries are at fault, another WeFailed when it is not.
        """
        try:
            async with self._database.transaction() as transaction:
                await write_entries(transaction, entries)
        except AT_FAULT as exc:
            raise EntryRefused(f"the database refuses: {_name(exc)}") from exc
        except (psycopg.Error, SQLAlchemyError, OSError) as exc:
            raise WeFailed(f"the database failed: {_name(exc)}") from exc

    async def close(self) -> None:
        await self._database.close()


async def inherit_journals(settings: Settings, engine: AsyncEngine) -> None:
    """Bring into the database what dead controllers left on disk, until cancelled.

    Living ones do so too: this is for when none comes back.
    """
    writing = Writing(engine)
    backlog = Backlog(settings.journals, "worker", settings.journal_limit)
    journal = Journal(writing.write, backlog)
    try:
        async with asyncio.TaskGroup() as both:
            journal.when_caught_up = lambda: both.create_task(ask_for_check(engine))
            both.create_task(journal.run())
            both.create_task(Inheritance(journal, settings.journals).run())
    finally:
        await writing.close()


def _name(exc: Exception) -> str:
    """Of the driver's error: messages may hold callers' numbers."""
    return type(getattr(exc, "orig", None) or exc).__name__


async def write_entries(transaction: Transaction, entries: Sequence[Entry]) -> None:
    """Kind by kind, and what others refer to first: an appeal, then all that is said of it."""

    def all_of(kind: type[Kind]) -> list[Kind]:
        return [entry for entry in entries if isinstance(entry, kind)]

    openings = [
        Opening(e.appeal_id, e.call_id, "call", e.caller.kind, e.caller.number, e.at)
        for e in all_of(Opened)
    ]
    beginnings = [
        Beginning(e.recording_id, e.appeal_id, e.consultant_id, e.file, e.at)
        for e in all_of(RecordingBegan)
    ]
    moments = [EventRow(e.appeal_id, e.seq, e.at, e.moment, e.detail) for e in all_of(Happened)]
    closings = [Closing(e.appeal_id, e.outcome, e.at) for e in all_of(Closed)]
    ended = {e.recording_id: e.at for e in all_of(RecordingEnded)}
    await appeals.open_appeals(transaction, openings)
    for begun in all_of(OutgoingBegan):
        await _write_beginning(transaction.connection, begun)
    await appeals.change_appeals(transaction, [*filter(None, map(_change, entries))])
    await recordings.begin_all(transaction, beginnings)
    await recordings.close_all(transaction, ended)
    await appeals.put_events(transaction, moments)
    await _write_what_is_ours(transaction.connection, entries)
    await promises.serve_all(transaction, _heard_a_consultant(moments))
    await appeals.close_appeals(transaction, closings)


async def _write_beginning(connection: AsyncConnection, begun: OutgoingBegan) -> None:
    call = Outgoing(
        id=begun.outgoing_id,
        appeal_id=begun.appeal_id,
        ordinal=1,
        number=begun.number,
        consultant_id=begun.consultant_id,
        call_id=begun.call_id,
        began_at=begun.at,
        ended_at=None,
        outcome=None,
    )
    await beginning.write(connection, call, begun.consultant_id)


async def _write_what_is_ours(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    """What was promised to callers, and calls that we make: seldom, so one by one."""
    for entry in entries:
        match entry:
            case CallbackPromised():
                await promises.promise_callback(
                    connection,
                    promise_id=entry.promise_id,
                    appeal_id=entry.appeal_id,
                    number=entry.number,
                    language=entry.language,
                    urgent=entry.urgent,
                    arrived_at=datetime.fromtimestamp(entry.arrived, UTC),
                    promised_at=entry.at,
                )
            case MessagePromised():
                await promises.promise_message(
                    connection,
                    recording_id=entry.recording_id,
                    appeal_id=entry.appeal_id,
                    language=entry.language,
                    urgent=entry.urgent,
                    arrived_at=datetime.fromtimestamp(entry.arrived, UTC),
                    promised_at=entry.at,
                )
            case MessageEmpty():
                await promises.end(connection, entry.recording_id, State.EMPTY, entry.at)
            case PromiseEnded():
                await promises.end_by_attempt(
                    connection, entry.promise_id, State(entry.state), entry.at
                )
            case OutgoingCarried():
                await outgoing.carried_by(connection, entry.outgoing_id, entry.call_id)
            case OutgoingClosed():
                await outgoing.close(
                    connection, entry.outgoing_id, outcome=entry.outcome, ended_at=entry.at
                )


def _heard_a_consultant(moments: Sequence[EventRow]) -> dict[UUID, datetime]:
    """When, by the appeal of the caller who rang.

    As soon as the two hear each other, and not when the call is over: the consultant, free again,
    would at once call back the one with whom they have just talked.
    """
    return {
        moment.appeal_id: moment.at
        for moment in moments
        if moment.kind == Moment.CONNECTED and moment.seq < outgoing.first_moment(1)
    }


def _change(entry: Entry) -> Change | None:
    match entry:
        case LanguageSettled():
            return Change(entry.appeal_id, language=entry.language)
        case BecameUrgent():
            return Change(entry.appeal_id, urgent=entry.urgencies)
        case ConsultantSettled():
            return Change(entry.appeal_id, consultant_id=entry.consultant_id)
        case _:
            return None
