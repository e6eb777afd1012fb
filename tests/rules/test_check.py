"""What `callcenter check` says of the machine."""

from pathlib import Path

import pytest

from callcenter.commands.check import IN_MEMORY, file_system

SHARED_MEMORY = Path("/dev/shm")


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="nothing of this machine is in memory")
def test_what_lies_in_memory_is_told_from_what_lies_on_a_disk(tmp_path: Path) -> None:
    assert file_system(SHARED_MEMORY / "not" / "there" / "yet") in IN_MEMORY
    assert file_system(Path("/proc/self")) == "proc"
    (tmp_path / "linked").symlink_to(SHARED_MEMORY)
    assert file_system(tmp_path / "linked" / "message") in IN_MEMORY
