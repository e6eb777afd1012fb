"""Notices by mail to the authority: something waits for it. No personal data is in them.

A notice is a row, added in the transaction of its change with the job that mails it. It is noted as
mailed after the server took it on: a worker that is killed in between mails it once more, under the
same Message-ID, never not at all.
"""

import logging
import re
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.demands import notices_store
from callcenter.demands.actions import DemandAction
from callcenter.demands.notices_store import DemandNotice, NoticeAddress
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.i18n import LANGUAGES, Translator
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.smtp_url import parse_smtp_url
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.mail.smtp import MailMessage, MailRefused, send_mail
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, enqueue_once

log = logging.getLogger(__name__)

#: The job that mails notices.
MAILING = "demands.mail_notices"
#: What could not be mailed for so long is of no use any more.
NOTICE_EXPIRES_AFTER = timedelta(days=7)
ADDRESS = re.compile(r"[^@\s<>,\"]{1,64}@[A-Za-z0-9.-]{1,255}")


class DemandMatter(StrEnum):
    """A matter that waits for the authority. The names are kept in the database."""

    READY = "ready"  #: the bundle can be downloaded
    CARRIER = "carrier"  #: the bundle can be fetched on a carrier
    REFUSED = "refused"  #: the letter of refusal can be read
    NARROWING = "narrowing"  #: too many recordings fit
    KEY = "key"  #: there is no key to encrypt to


SUBJECTS = {
    DemandMatter.READY: N_("Line 111: the recordings of a demand can be downloaded"),
    DemandMatter.CARRIER: N_("Line 111: the recordings of a demand can be handed over"),
    DemandMatter.REFUSED: N_("Line 111: a demand was refused, there is a letter"),
    DemandMatter.NARROWING: N_("Line 111: a demand has to say more exactly what is demanded"),
    DemandMatter.KEY: N_("Line 111: a key is needed for a demand"),
}


async def notify(connection: AsyncConnection, demand_id: UUID, matter: DemandMatter) -> None:
    """Have the authority told of a matter of this demand, once."""
    await _notify(connection, demand_id, matter.value)


async def notify_of_bundle(
    connection: AsyncConnection, demand_id: UUID, ordinal: int, hand_over_by: str
) -> None:
    """Have the authority told that a bundle is ready, once for each that is offered."""
    by_carrier = hand_over_by == "carrier"
    matter = DemandMatter.CARRIER if by_carrier else DemandMatter.READY
    await _notify(connection, demand_id, f"{matter}:{ordinal}")


async def _notify(connection: AsyncConnection, demand_id: UUID, matter: str) -> None:
    if await notices_store.add(connection, demand_id, matter):
        await enqueue_once(connection, MAILING)


async def mail_notices(tools: WorkerResources, now: datetime) -> None:
    """Mail the notices that wait, each in a transaction of its own.

    What the server refuses for good is not tried again. Raises DependencyUnavailable when the
    server is not there: the next minute tries again.
    """
    settings = tools.settings
    if not (settings.smtp_url and settings.mail_from):
        return
    server = parse_smtp_url(settings.smtp_url.get_secret_value())
    while True:
        async with unit_of_work(tools.engine) as connection:
            notice = await notices_store.lock_next(connection, now - NOTICE_EXPIRES_AFTER, now)
            if notice is None:
                return
            try:
                await send_mail(server, _write(settings, settings.mail_from, notice))
                log.info("notice mailed: demand %s, %s", notice.number, notice.matter)
            except MailRefused as exc:
                log.error("notice refused: demand %s, %s: %s", notice.number, notice.matter, exc)
            await notices_store.mark_ended(connection, notice.id)


async def save_address(engine: AsyncEngine, actor: Actor, address: str, language: str) -> None:
    """Save where notices go for this user, and in which language; empty: nowhere.

    Raises InvalidRequest.
    """
    given = address.strip()
    if actor.user is None or (given and not ADDRESS.fullmatch(given)) or language not in LANGUAGES:
        raise InvalidRequest("this is no address of e-mail")
    async with unit_of_work(engine) as connection:
        await notices_store.save_address(
            connection, actor.user.id, NoticeAddress(given, language) if given else None
        )
        action, subject = DemandAction.AUTHORITY_ADDRESS_SAVED, f"user:{actor.name}"
        await audit_action(connection, actor, action, subject, {"given": bool(given)})


async def read_address(engine: AsyncEngine, actor: Actor) -> NoticeAddress | None:
    """Where notices go for this user."""
    if actor.user is None:
        return None
    async with unit_of_work(engine) as connection:
        return await notices_store.address_of(connection, actor.user.id)


def _write(settings: Settings, sender: str, notice: DemandNotice) -> MailMessage:
    words = Translator(notice.language)
    subject = words.plain(SUBJECTS[DemandMatter(notice.matter.partition(":")[0])])
    number = words.plain(N_("Demand %(number)s")) % {"number": notice.number}
    return MailMessage(
        sender,
        [notice.address],
        f"{subject}: {notice.number}",
        f"{subject}.\n{number}: {settings.public_url or ''}/authority/demands\n",
        message_id=f"<{notice.id}@{sender.rpartition('@')[2]}>",
    )
