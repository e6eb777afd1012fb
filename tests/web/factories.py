"""What somebody has on the site: one of each thing that a route may be about."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup import attachments_store, follow_up_calls_store
from callcenter.appeals.tables import psychological_talk, record_reminder
from callcenter.bodies import store as bodies
from callcenter.demands import disclosures
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.requests import store as requests
from callcenter.requests.rules.composition import ReleasedFile, RequestPackage
from callcenter.requests.rules.states import RequestState, RequestStep, StepFacts
from callcenter.telephony.callers.blocklist import store as blocks
from callcenter.telephony.callers.blocklist.rules import BlockReason
from callcenter.telephony.callers.care_plans import store as plans
from callcenter.urgent_notifications import store as urgent_notifications
from tests.web.conftest import Call, Enter
from tests.web.test_attachments import attach


async def plan_for_somebody(engine: AsyncEngine) -> UUID:
    async with unit_of_work(engine) as connection:
        return await plans.make(
            connection,
            number="+77019999999",
            extension="2001",
            times="по пятницам",
            note="Выслушать, не торопить",
            review_on=date(2027, 1, 1),
            author="user:test",
        )


async def key_of_somebody(engine: AsyncEngine) -> UUID:
    async with unit_of_work(engine) as connection:
        await disclosures.add_key(connection, "age1some", "user:test")
        return (await disclosures.keys(connection))[0].id


async def block_somebody(engine: AsyncEngine) -> UUID:
    async with unit_of_work(engine) as connection:
        made = await blocks.block(
            connection,
            number="+77010000099",
            length=timedelta(hours=1),
            reason=BlockReason.PRANKS,
            author="user:somebody",
        )
    return made.id


async def contact_of_a_body(engine: AsyncEngine) -> UUID:
    """A contact of the first body that has one."""
    async with unit_of_work(engine) as connection:
        contacts = (await bodies.read_directory(connection)).bodies["internal_affairs"].contacts
    assert contacts[0].id is not None
    return contacts[0].id


async def attached(enter: Enter, number: str) -> str:
    async with enter(Role.HEAD) as client:
        sent = await attach(client, number, "note.txt", b"word")
        return str(sent.json()["id"])


async def request_that_is_ready(
    settings: Settings, engine: AsyncEngine, call: Call, file: UUID
) -> UUID:
    """A request to a state body that waits to leave, with this file."""
    keys = RecordKeys.read(settings)
    async with unit_of_work(engine) as connection:
        stored = await attachments_store.find(connection, keys, file)
        released = ReleasedFile(file, "1.txt", stored.bytes, stored.sha256, "needed", "user:test")
        identity = await requests.insert_new(
            connection,
            keys,
            call.id,
            body="internal_affairs",
            direction="order",
            language="ru",
            author="user:test",
        )
        package = RequestPackage("Просим проверить\n", (released,))
        await requests.add_step(
            connection,
            identity,
            RequestStep.READIED,
            RequestState.WAITING,
            StepFacts(),
            author="user:test",
            sealed=requests.seal_step(keys, identity, "", package),
        )
    return identity


async def notification_that_is_open(engine: AsyncEngine, call: Call) -> UUID:
    """An urgent notification of a body that nobody has taken."""
    async with unit_of_work(engine) as connection:
        begun = await urgent_notifications.insert_new(
            connection, call.id, body="internal_affairs", author="user:test"
        )
    return begun.id


async def reminder(settings: Settings, engine: AsyncEngine, call: Call) -> str:
    identity = uuid4()
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(record_reminder).values(
                id=identity,
                appeal_id=call.id,
                user_name="somebody",
                due_at=datetime.now(UTC),
                sealed=RecordKeys.read(settings).seal(identity, {"about": "it"}),
            )
        )
    return str(identity)


async def booked_talk(engine: AsyncEngine, call: Call) -> UUID:
    """A talk with a psychologist that is booked."""
    identity = uuid4()
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(psychological_talk).values(
                id=identity,
                appeal_id=call.id,
                user_name="somebody",
                due_at=datetime.now(UTC),
                booked_by="user:somebody",
                booked_at=datetime.now(UTC),
            )
        )
    return identity


async def booked_follow_up(engine: AsyncEngine, call: Call) -> UUID:
    """A follow-up call that is booked."""
    async with unit_of_work(engine) as connection:
        return await follow_up_calls_store.insert_new(
            connection, call.id, user="somebody", due_at=datetime.now(UTC), author="user:somebody"
        )
