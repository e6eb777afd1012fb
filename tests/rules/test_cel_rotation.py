"""CEL is rotated every day and deleted after its term; readers go on in what was renamed."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from callcenter.telephony.reconciliation.cel_rotation import rotate
from callcenter.telephony.reconciliation.cel_tail import START, read

NOW = datetime(2026, 11, 27, 0, 5, tzinfo=UTC)
TERM, DAY = timedelta(days=30), timedelta(days=1)


def line(at: datetime) -> str:
    return json.dumps(
        {
            "eventtime": at.timestamp(),
            "eventtype": "RECEIVED",
            "uniqueid": "1795534963.0",
            "linkedid": "1795534963.0",
            "channame": "PJSIP/operator-00000000",
            "peer": "",
            "eventextra": json.dumps({"extra": "+77010000000"}),
        }
    )


def written(cel_file: Path, *times: datetime) -> None:
    with cel_file.open("a") as file:
        file.writelines(f"{line(each)}\n" for each in times)
    os.utime(cel_file, (times[-1].timestamp(),) * 2)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_file_of_yesterday_is_renamed_and_read_on(tmp_path: Path) -> None:
    cel_file = tmp_path / "ledger.jsonl"
    written(cel_file, NOW - DAY)
    first = read(cel_file, START)
    assert first is not None
    written(cel_file, NOW)
    rotate(cel_file, TERM, NOW)
    assert names(tmp_path) == ["ledger.jsonl.2026-11-27"], "by the day of its last line"
    second = read(cel_file, first.after)
    assert second is not None
    assert [line.encode() for line in (line(NOW),)] == [each for each in second.lines if each]
    written(cel_file, NOW)
    rotate(cel_file, TERM, NOW)
    assert names(tmp_path) == ["ledger.jsonl", "ledger.jsonl.2026-11-27"]


def test_no_line_is_older_than_the_term_and_a_day(tmp_path: Path) -> None:
    cel_file = tmp_path / "ledger.jsonl"
    for days in range(40, -1, -1):
        at = NOW - days * DAY
        written(cel_file, at, at + timedelta(hours=20))
        rotate(cel_file, TERM, at + DAY)
    texts = [each.read_text().splitlines() for each in tmp_path.iterdir()]
    times = [json.loads(each)["eventtime"] for text in texts for each in text]
    assert min(times) >= (NOW + DAY - TERM - DAY).timestamp()
    assert len(texts) == 30


def test_packed_and_unreadable_files_have_a_term_too(tmp_path: Path) -> None:
    cel_file = tmp_path / "ledger.jsonl"
    for name in ("ledger.jsonl.1.gz", "ledger.jsonl.2026-10-01", "other"):
        (tmp_path / name).write_bytes(b"\xff")
        os.utime(tmp_path / name, ((NOW - TERM - DAY).timestamp(),) * 2)
    cel_file.write_bytes(b"half a line")
    os.utime(cel_file, ((NOW - DAY).timestamp(),) * 2)
    rotate(cel_file, TERM, NOW)
    assert names(tmp_path) == ["ledger.jsonl.2026-11-26", "other"]


def test_a_second_file_of_a_day_replaces_none(tmp_path: Path) -> None:
    cel_file = tmp_path / "ledger.jsonl"
    for _ in range(3):
        written(cel_file, NOW - DAY)
        rotate(cel_file, TERM, NOW)
    assert names(tmp_path) == [f"ledger.jsonl.2026-11-26{each}" for each in ("", "-2", "-3")]


def test_the_order_of_files_survives_a_change_of_their_times(tmp_path: Path) -> None:
    cel_file = tmp_path / "ledger.jsonl"
    for days in (3, 2, 1):
        written(cel_file, NOW - days * DAY)
        rotate(cel_file, TERM, NOW)
    os.utime(tmp_path / "ledger.jsonl.2026-11-24")
    chunk, lines = read(cel_file, START), []
    while chunk is not None:
        lines += [each.decode() for each in chunk.lines if each]
        chunk = read(cel_file, chunk.after)
    assert lines == [line(NOW - days * DAY) for days in (3, 2, 1)]
