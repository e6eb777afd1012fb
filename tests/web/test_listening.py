"""Who may listen to which recording, and what the audit log has of it."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
import soundfile
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.formats import Format
from callcenter.recordings.sealing import keys
from tests.web.conftest import Call, Enter, make_call


async def reported(engine: AsyncEngine) -> list[tuple[str, dict[str, str]]]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            text("SELECT action, detail FROM audit_entry WHERE action LIKE '%listen%' ORDER BY id")
        )
        return [(row.action, row.detail) for row in rows]


async def work_in(engine: AsyncEngine, role: Role, team: str | None) -> None:
    """People of this role are a consultant of this team."""
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO consultant (id, extension, name, languages, digest, team) "
                "VALUES (gen_random_uuid(), '2099', 'Senior', '{kk}', '-', :team)"
            ),
            {"team": team},
        )
        await connection.execute(
            text(
                "UPDATE web_user SET consultant_id = (SELECT id FROM consultant "
                "WHERE extension = '2099') WHERE role = :role"
            ),
            {"role": role.value},
        )


@pytest.mark.parametrize(
    ("heard", "own", "may"),
    [("night", "night", True), (None, None, True), ("night", "day", False), ("night", None, False)],
)
async def test_a_senior_hears_recordings_of_the_own_team_only(
    enter: Enter,
    engine: AsyncEngine,
    call: Call,
    heard: str | None,
    own: str | None,
    may: bool,
) -> None:
    address = f"/api/v1/recordings/{call.recording}/audio"
    async with unit_of_work(engine) as connection:
        await connection.execute(text("UPDATE consultant SET team = :team"), {"team": heard})
    async with enter(Role.SENIOR) as senior:
        await work_in(engine, Role.SENIOR, own)
        answer = await senior.get(address, params={"reason": "complaint", "words": "of today"})
    appeal = {"appeal": str(call.id)}
    if may:
        assert (answer.status_code, answer.content) == (200, call.audio)
        assert await reported(engine) == [
            ("web:recording:listened", appeal | {"reason": "complaint", "words": "of today"})
        ]
    else:
        assert answer.status_code == 400
        assert call.audio not in answer.content
        assert await reported(engine) == [
            ("web:recording:listening_refused", appeal | {"why": "other_team"})
        ]


@pytest.mark.parametrize("own", [True, False])
async def test_consultants_hear_their_own_conversations_only(
    enter: Enter, engine: AsyncEngine, call: Call, own: bool
) -> None:
    """Not those of colleagues, though these are of the same team."""
    async with enter(Role.CONSULTANT) as somebody:
        await work_in(engine, Role.CONSULTANT, None)
        if own:
            async with unit_of_work(engine) as connection:
                await connection.execute(
                    text(
                        "UPDATE web_user SET consultant_id = (SELECT id FROM consultant "
                        "WHERE extension = '2001') WHERE role = 'consultant'"
                    )
                )
        listed = await somebody.get("/search/recordings")
        silent = await somebody.get(f"/api/v1/recordings/{call.recording}/audio")
        player = await somebody.get(f"/recordings/{call.recording}")
        answer = await somebody.get(f"/api/v1/recordings/{call.recording}/audio?reason=work")
    appeal = {"appeal": str(call.id)}
    assert (f"/recordings/{call.recording}" in listed.text) is own
    assert silent.status_code in (400, 422)  # without a reason nobody hears anything
    if own:
        assert player.status_code == 200
        assert (answer.status_code, answer.content) == (200, call.audio)
        assert await reported(engine) == [("web:recording:listened", appeal | {"reason": "work"})]
    else:
        assert (player.status_code, answer.status_code) == (400, 400)
        refused = ("web:recording:listening_refused", appeal | {"why": "not_own"})
        assert await reported(engine) == [refused, refused]


async def test_a_senior_who_is_no_consultant_hears_nobody(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    async with enter(Role.SENIOR) as senior:
        answer = await senior.get(f"/api/v1/recordings/{call.recording}/audio?reason=work")
    assert answer.status_code == 400


async def test_records_officers_hear_every_team(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text("UPDATE consultant SET team = 'night'"))
    async with enter(Role.RECORDS_OFFICER) as officer:
        answer = await officer.get(f"/api/v1/recordings/{call.recording}/audio?reason=work")
    assert answer.status_code == 200


@pytest.mark.parametrize(("another", "status"), [(False, 503), (True, 500)])
async def test_with_a_lost_or_wrong_key_nothing_is_heard(
    enter: Enter, settings: Settings, engine: AsyncEngine, call: Call, another: bool, status: int
) -> None:
    settings.keys.rename(settings.keys.with_name("away"))
    if another:
        keys.make(settings.keys)
    address = f"/api/v1/recordings/{call.recording}/audio?reason=work"
    async with enter(Role.RECORDS_OFFICER) as officer:
        answer = await officer.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (
            status,
            "application/problem+json",
        )
        assert await reported(engine) == []
        if another:
            (settings.keys / "recordings" / "0001.key").unlink()
            (settings.keys / "recordings").rmdir()
            settings.keys.rmdir()
        settings.keys.with_name("away").rename(settings.keys)
        assert (await officer.get(address)).content == call.audio


async def test_an_opus_recording_is_heard_whole_and_in_parts(
    enter: Enter, settings: Settings, engine: AsyncEngine
) -> None:
    call = await make_call(settings, engine, Format.OPUS)
    address = f"/api/v1/recordings/{call.recording}/audio?reason=work"
    size = len(call.audio)
    async with enter(Role.RECORDS_OFFICER) as officer:
        whole = await officer.get(address)
        parts = [
            await officer.get(address, headers={"range": f"bytes={first}-{last}"})
            for first, last in ((0, 99), (100, size // 2), (size // 2 + 1, ""))
        ]
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/ogg")
    assert whole.headers["content-disposition"].endswith('.opus"')
    assert whole.content == call.audio
    about = soundfile.info(BytesIO(whole.content))
    assert (about.subtype, about.channels, about.frames) == ("OPUS", 2, 8000)
    assert {part.status_code for part in parts} == {206}
    assert parts[1].headers["content-range"] == f"bytes 100-{size // 2}/{size}"
    assert b"".join(part.content for part in parts) == call.audio


@contextmanager
def no_byte_on_any_disk(folder: Path) -> Iterator[None]:
    """Whatever this process writes into a file is refused by the kernel."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            (folder / "any").write_bytes(b"any")
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_listening_writes_nothing_to_a_disk(enter: Enter, call: Call, tmp_path: Path) -> None:
    address = f"/api/v1/recordings/{call.recording}/audio?reason=work"
    async with enter(Role.RECORDS_OFFICER) as officer:
        with no_byte_on_any_disk(tmp_path):
            whole = await officer.get(address)
            part = await officer.get(address, headers={"range": "bytes=10-"})
    assert whole.content == call.audio
    assert part.content == call.audio[10:]
