"""The spool of a version before: a controller that is upgraded, or its heir, has calls in it."""

from pathlib import Path

from callcenter.telephony.calls.journal.codec import TAGS, decode, encode
from callcenter.telephony.calls.journal.events import Entry
from callcenter.telephony.calls.journal.spool import SUFFIX, orphaned_spools, quarantined_files
from tests.persisted.entries import ENTRIES
from tests.persisted.write import SPOOL, WRITTEN

LINES = (WRITTEN / SPOOL).read_bytes().splitlines(keepends=True)


def test_what_was_written_is_read_as_it_was_meant() -> None:
    assert [decode(line.removesuffix(b"\n")) for line in LINES] == list(ENTRIES)


def test_what_is_written_now_is_read_by_the_version_before() -> None:
    """During an upgrade it replays spools as well, so nothing may be written otherwise."""
    assert [encode(entry) for entry in ENTRIES[: len(LINES)]] == LINES


def test_every_class_of_entries_was_written() -> None:
    assert {type(entry) for entry in ENTRIES} == set(Entry.__args__)


def test_every_class_has_a_tag_of_its_own() -> None:
    assert set(TAGS) == set(Entry.__args__)
    assert len(set(TAGS.values())) == len(TAGS)
    assert all(tag.isascii() and " " not in tag for tag in TAGS.values())


def test_its_file_is_replayed(tmp_path: Path) -> None:
    name = f"line-1.0123456789abcdef0123456789abcdef{SUFFIX}"
    (tmp_path / name).write_bytes(b"".join(LINES))
    (orphans,) = orphaned_spools(tmp_path, of="line-1")
    assert orphans.entries == list(ENTRIES)
    assert not quarantined_files(tmp_path)
    orphans.release()
