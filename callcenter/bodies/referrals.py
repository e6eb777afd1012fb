"""Referrals of callers to competent bodies (R16): what was read out, on the record."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.appeals.form.store import read_form
from callcenter.appeals.record.service import audit_appeal, get_appeal
from callcenter.bodies import store
from callcenter.bodies.actions import BodyAction
from callcenter.bodies.labels import BodyLabels
from callcenter.bodies.store import Referral
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.i18n import DEFAULT, Translator
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work

NO_BODY = N_("this body, or this contact of it, is not given to callers any more: look again")


def callers_language(language: str | None) -> str:
    """The language in which a caller is told: their own, else the state language."""
    return language if language in CALLER_LANGUAGES else DEFAULT


async def refer(
    engine: AsyncEngine,
    actor: Actor,
    number: str,
    code: str,
    contact_id: str,
    words: Mapping[str, Translator],
) -> None:
    """Note that a body was named to the caller, with this contact or none.

    What was read out is stored as it is today, in the caller's language. Raises NotFound without
    the appeal, InvalidRequest when the body or contact is not given to callers.
    """
    now = datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        body = (await store.read_directory(connection)).bodies.get(code)
        if body is None or not body.is_in_force(now.astimezone(ZONE).date()):
            raise InvalidRequest(NO_BODY)
        given = {str(each.id): each for each in body.public(now)}
        if contact_id and contact_id not in given:
            raise InvalidRequest(NO_BODY)
        form = await read_form(connection)
        say = BodyLabels(words[callers_language(row.language)], form, now.astimezone(ZONE).date())
        said = say.spoken_text(body, given.get(contact_id))
        await store.insert_referral(connection, row.id, Referral(code, said, actor.who, now))
        await audit_appeal(
            connection, actor, BodyAction.CALLER_REFERRED, number, body=code, contact=contact_id
        )


async def read_section(reading: AppealReading) -> Sequence[Referral]:
    """Bodies that were named to the caller, for the page of the appeal."""
    return await store.list_referrals(reading.connection, reading.appeal_id)


async def read_timeline(reading: AppealReading) -> Sequence[TimelineEntry]:
    """Referrals in what was done about the appeal."""
    return [
        TimelineEntry(
            each.at, each.author, N_("Named to the caller: %(said)s"), {"said": each.said}
        )
        for each in await reading.once(read_section)
    ]
