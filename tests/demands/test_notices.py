"""The authority learns by mail that something waits, once, and nothing personal by it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import notices, release, service
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.states import RefusalGround
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.demands.conftest import HEAD, OFFICER, demand_form
from tests.demands.recorded import CALLER, sealed_talk
from tests.demands.test_disclosing import new_key
from tests.demands.test_registering import found
from tests.smtp_server import SmtpMailbox, smtp_server
from tests.web.conftest import add_user

OURS = "a.akhmetov@ministry.example.kz"


@pytest.fixture
async def mailbox() -> AsyncIterator[SmtpMailbox]:
    async with smtp_server() as opened:
        yield opened


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine, mailbox: SmtpMailbox) -> WorkerResources:
    mailing = {
        "smtp_url": SecretStr(mailbox.url),
        "mail_from": "111@example.kz",
        "public_url": "https://111.example.kz",
    }
    return WorkerResources(settings.model_copy(update=mailing), engine)


async def receiver(engine: AsyncEngine, language: str = "ru", address: str = OURS) -> Actor:
    """Somebody of the authority who wants to be told."""
    user = await add_user(engine, f"ministry-{language}", Role.AUTHORITY)
    actor = Actor(user, "10.0.0.2")
    await notices.save_address(engine, actor, address, language)
    return actor


async def mail(tools: WorkerResources) -> None:
    await notices.mail_notices(tools, datetime.now(UTC))


async def waiting_jobs(engine: AsyncEngine) -> int:
    query = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'demands.mail_notices'"
    async with unit_of_work(engine) as connection:
        return int((await connection.execute(text(query))).scalar_one())


async def test_each_step_that_needs_the_authority_is_mailed_once(
    tools: WorkerResources, mailbox: SmtpMailbox, tmp_path: Path
) -> None:
    engine = tools.engine
    await receiver(engine)
    number, recording_id = await sealed_talk(tools.settings, engine)
    criteria = SearchCriteria(appeal_number=number)
    row = await service.register(engine, OFFICER, demand_form(criteria=criteria))
    await mail(tools)
    assert mailbox.messages == []
    await service.check(engine, OFFICER, row.number, 2, [recording_id], "the one demanded")
    assert await waiting_jobs(engine) == 1  # enqueued with the change
    await mail(tools)
    key_id = await new_key(engine, tmp_path)
    row = await found(engine, row.number)
    await release.release(engine, HEAD, row.number, row.version, key_id, "as demanded")
    await mail(tools)
    assert len(mailbox.messages) == 1  # nothing can be taken yet
    for _ in range(2):
        await tend_bundles(tools, datetime.now(UTC))
        await mail(tools)
    other = await service.register(engine, OFFICER, demand_form(criteria=criteria))
    ground = RefusalGround.NO_CONVERSATION
    await service.refuse(engine, HEAD, other.number, other.version, ground, "none")
    await mail(tools)
    assert [each["Subject"] for each in mailbox.messages] == [
        f"Линия 111: для требования нужен ключ: {row.number}",
        f"Линия 111: записи по требованию можно скачать: {row.number}",
        f"Линия 111: в требовании отказано, есть письмо: {other.number}",
    ]
    assert mailbox.recipients == [[OURS]] * 3
    whole = "".join(str(each) + each.get_content() for each in mailbox.messages)
    assert "https://111.example.kz/authority/demands" in whole
    for personal in (CALLER, number, "Ахметов", "03-2/117", "Айгүл"):
        assert personal not in whole


async def test_each_receiver_gets_mail_in_the_own_language(
    tools: WorkerResources, mailbox: SmtpMailbox
) -> None:
    for language in ("kk", "ru", "en"):
        await receiver(tools.engine, language, f"{language}@example.kz")
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(
            text("UPDATE web_user SET active = false WHERE name = 'ministry-en'")
        )
    row = await service.register(tools.engine, OFFICER, demand_form())
    ground = RefusalGround.NO_CONVERSATION
    await service.refuse(tools.engine, HEAD, row.number, row.version, ground, "none")
    await mail(tools)
    sent = {
        to[0]: str(each["Subject"])
        for to, each in zip(mailbox.recipients, mailbox.messages, strict=True)
    }
    assert sent == {
        "kk@example.kz": f"111 желісі: талаптан бас тартылды, хат бар: {row.number}",
        "ru@example.kz": f"Линия 111: в требовании отказано, есть письмо: {row.number}",
    }


async def test_mail_waits_while_the_server_is_down(
    tools: WorkerResources, mailbox: SmtpMailbox
) -> None:
    await receiver(tools.engine)
    row = await service.register(tools.engine, OFFICER, demand_form())
    ground = RefusalGround.NO_CONVERSATION
    await service.refuse(tools.engine, HEAD, row.number, row.version, ground, "none")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = SecretStr(f"smtp://127.0.0.1:{unused.getsockname()[1]}")
        down = WorkerResources(tools.settings.model_copy(update={"smtp_url": url}), tools.engine)
        with pytest.raises(DependencyUnavailable):
            await mail(down)
    await mail(tools)
    await mail(tools)
    assert len(mailbox.messages) == 1


async def test_a_mail_repeated_after_a_kill_is_the_same(
    tools: WorkerResources, mailbox: SmtpMailbox
) -> None:
    await receiver(tools.engine)
    row = await service.register(tools.engine, OFFICER, demand_form())
    ground = RefusalGround.NO_CONVERSATION
    await service.refuse(tools.engine, HEAD, row.number, row.version, ground, "none")
    mailbox.answers.clear()  # the server has it, and the worker does not know
    killed = asyncio.create_task(mail(tools))
    await mailbox.arrived.wait()
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    mailbox.answers.set()
    await mail(tools)
    assert len(mailbox.messages) == 2
    assert len({each["Message-ID"] for each in mailbox.messages}) == 1


async def test_what_the_server_refuses_for_good_is_given_up(
    tools: WorkerResources, mailbox: SmtpMailbox
) -> None:
    await receiver(tools.engine)
    row = await service.register(tools.engine, OFFICER, demand_form())
    ground = RefusalGround.NO_CONVERSATION
    await service.refuse(tools.engine, HEAD, row.number, row.version, ground, "none")
    mailbox.reply = "550 no such box"
    await mail(tools)
    mailbox.reply = "250 OK"
    await mail(tools)
    assert mailbox.messages == []


async def test_an_address_is_checked_and_removed(
    tools: WorkerResources, mailbox: SmtpMailbox
) -> None:
    actor = await receiver(tools.engine)
    with pytest.raises(InvalidRequest):
        await notices.save_address(tools.engine, actor, "x@y\nBcc: z@y", "ru")
    saved = await notices.read_address(tools.engine, actor)
    assert saved is not None
    assert saved.address == OURS
    await notices.save_address(tools.engine, actor, "", "ru")
    assert await notices.read_address(tools.engine, actor) is None
    row = await service.register(tools.engine, OFFICER, demand_form())
    ground = RefusalGround.NO_CONVERSATION
    await service.refuse(tools.engine, HEAD, row.number, row.version, ground, "none")
    await mail(tools)
    assert mailbox.messages == []
