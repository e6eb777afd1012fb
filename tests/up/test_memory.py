"""What lies in plain for a moment lies in memory, and on no disk."""

import stat
from pathlib import Path

import pytest

from callcenter.commands.check import IN_MEMORY, file_system
from callcenter.up.memory import into_memory, out_of_memory


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "memory").mkdir()
    return tmp_path / "memory"


@pytest.mark.parametrize("was_there", [False, True])
def test_what_comes_into_the_folder_is_in_memory_and_gone_at_the_end(
    tmp_path: Path, was_there: bool
) -> None:
    folder = tmp_path / "laid-out"
    if was_there:
        folder.mkdir()
    assert into_memory(folder)
    place = folder.resolve()
    try:
        assert file_system(folder) in IN_MEMORY
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        (folder / "message").write_text("what the caller said")
    finally:
        out_of_memory(folder)
    assert not place.exists()
    assert not folder.is_symlink()
    out_of_memory(folder)


def test_what_a_killed_copy_left_is_removed(tmp_path: Path, memory: Path) -> None:
    folder = tmp_path / "laid-out"
    into_memory(folder, memory)
    (folder / "message").write_text("what the caller said")
    left = folder.resolve()
    assert into_memory(folder, memory)
    assert not left.exists()
    assert list(folder.iterdir()) == []


def test_after_a_start_of_the_machine_there_is_a_new_place(tmp_path: Path, memory: Path) -> None:
    folder = tmp_path / "laid-out"
    into_memory(folder, memory)
    folder.resolve().rmdir()
    assert into_memory(folder, memory)
    assert folder.is_dir()


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path, memory: Path) -> None:
    folder = tmp_path / "laid-out"
    folder.mkdir()
    (folder / "kept").write_text("by somebody")
    assert not into_memory(folder, memory)
    assert (folder / "kept").read_text() == "by somebody"
    assert list(memory.iterdir()) == []


def test_an_operators_own_link_stays_as_it_is(tmp_path: Path, memory: Path) -> None:
    (tmp_path / "own").mkdir()
    folder = tmp_path / "laid-out"
    folder.symlink_to(tmp_path / "own")
    assert not into_memory(folder, memory)
    out_of_memory(folder, memory)
    assert folder.readlink() == tmp_path / "own"


def test_without_such_memory_the_folder_is_made_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "laid-out"
    assert not into_memory(folder, tmp_path / "not-there")
    assert not folder.is_symlink()
