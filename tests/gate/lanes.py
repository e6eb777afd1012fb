"""Lanes: tests that may run beside each other, and in how many processes.

A telephone sends a packet every 20 ms and is late when a computation has the processor. So what
computes gets of it only what nobody else wants, by the kernel's idle class, and fills what the
other lanes leave: three tests with telephones stand at half of two cores. What raises storms, takes
over many calls or is compared with a calm machine runs alone (it is marked so).
"""

from pathlib import Path
from typing import NamedTuple


class Lane(NamedTuple):
    name: str
    processes: int  # that run tests side by side; one runs them itself
    is_idle: bool = False  # in the kernel's idle class, beside all lanes that are not


COMPUTE = Lane("compute", 2, is_idle=True)
PHONES = Lane("phones", 3)
ALONE = Lane("alone", 1)
LANES = (COMPUTE, PHONES, ALONE)
LANE_BY_NAME = {lane.name: lane for lane in LANES}

#: Folders and files below tests/ whose tests telephone, listen to an Asterisk, or browse.
WITH_PHONES = {
    "asterisk",
    "backup/test_backup_beside_calls.py",
    "bench",
    "browser",
    "calls",
    "demo",
    "launcher/test_asterisk_replacement.py",
    "launcher/test_open_files.py",
    "launcher/test_up.py",
    "rendered/test_boot.py",
    "rendered/test_claims.py",
    "sipphone",
}


def lane_of(test: Path, *, alone: bool) -> Lane:
    """The lane of a test file, which is named from tests/ on; `alone` if the test is marked so."""
    if alone:
        return ALONE
    with_phones = test.parts[0] in WITH_PHONES or test.as_posix() in WITH_PHONES
    return PHONES if with_phones else COMPUTE
