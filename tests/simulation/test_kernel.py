"""The simulated kernel keeps locks as the real one does: the same assertions on both."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest

from callcenter.telephony.asterisk.cluster import member_files
from callcenter.telephony.asterisk.cluster.member_files import (
    MemberFile,
    MemberFlag,
    MemberRecord,
    claimed,
    forget,
    is_taken_over,
    read_members,
    release_claims,
)
from tests.simulation.kernel import Kernel, KernelPath


@pytest.fixture(params=["real", "simulated"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The folder of members, of the real kernel or of the simulated one."""
    if request.param == "real":
        yield tmp_path / "members"
        return
    kernel = Kernel()
    with (
        patch.object(member_files, "os", kernel.os),
        patch.object(member_files, "fcntl", kernel.fcntl),
    ):
        yield cast(Path, KernelPath(kernel, "/members"))


def test_a_member_is_alive_while_its_file_is_open(folder: Path) -> None:
    record = MemberRecord(MemberFlag.SERVES, 7, 1.5)
    own = MemberFile(folder, "line-1.a")
    own.publish(record)
    assert list(read_members(folder)) == [("line-1.a", record, True)]
    assert list(read_members(folder, "line-1.a")) == []
    own.close(remove=False)
    assert list(read_members(folder)) == [("line-1.a", record, False)]
    forget(folder, "line-1.a")
    assert list(read_members(folder)) == []


def test_one_alone_has_the_claim_until_it_ends(folder: Path) -> None:
    MemberFile(folder, "line-1.a").close(remove=False)
    assert not is_taken_over(folder, "line-1.a")
    with claimed(folder, "line-1.a") as first, claimed(folder, "line-1.a") as second:
        assert (first, second) == (True, False)
        assert is_taken_over(folder, "line-1.a")
    assert not is_taken_over(folder, "line-1.a")
    with claimed(folder, "line-1.a") as again:
        assert again
    forget(folder, "line-1.a")
    assert is_taken_over(folder, "line-1.a")


def test_a_claim_that_was_removed_meanwhile_counts_nothing(folder: Path) -> None:
    MemberFile(folder, "line-1.a").close(remove=False)
    first = claimed(folder, "line-1.a")
    assert first.__enter__()
    (folder / "line-1.a.claim").unlink()
    with claimed(folder, "line-1.a") as second:
        assert second
    first.__exit__(None, None, None)


def test_a_released_claim_is_anothers_also_when_its_holder_ends(folder: Path) -> None:
    MemberFile(folder, "line-1.a").close(remove=False)
    frozen, other = claimed(folder, "line-1.a"), claimed(folder, "line-1.a")
    assert frozen.__enter__()
    release_claims(folder, ["line-1.a"])
    assert other.__enter__()
    frozen.__exit__(None, None, None)
    with claimed(folder, "line-1.a") as third:
        assert not third
    other.__exit__(None, None, None)
    assert not is_taken_over(folder, "line-1.a")


def test_members_are_read_in_the_order_of_names(folder: Path) -> None:
    files = [MemberFile(folder, name) for name in ("line-2.b", "line-1.a", "watchdog-c")]
    assert [name for name, _, _ in read_members(folder)] == ["line-1.a", "line-2.b", "watchdog-c"]
    for each in files:
        each.close(remove=True)
    assert list(read_members(folder)) == []
