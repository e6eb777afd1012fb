"""No part that needs no key opens one, although all run as one user. See tests/demo for a call."""

import ctypes
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from callcenter.errors import AskedWrongly
from callcenter.settings import Settings
from callcenter.up.child import Part, Surroundings
from callcenter.up.confinement import Confinement, can_confine
from callcenter.up.memory import SHARED_MEMORY, into_memory, out_of_memory
from callcenter.up.product import product
from callcenter.up.supervisor import Plan, Supervisor
from tests.up.rig import wait_until_gone

CREATE_RULESET = 444  # landlock_create_ruleset(2), the same on every architecture
VERSION = 1  # what it is asked for
WITH_TRUNCATE = 3  # the version that knows all that we refuse

confines = pytest.mark.skipif(not can_confine(), reason="this kernel has no Landlock")


def test_we_confine_wherever_the_kernel_can() -> None:
    kernel = ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, VERSION)
    assert can_confine() == (kernel >= WITH_TRUNCATE)


def plan_of(settings: Settings, around: Surroundings) -> list[Part]:
    return [
        member
        for stage in product(settings, around).stages
        for member in stage
        if isinstance(member, Part)
    ]


@confines
def test_every_part_but_those_that_open_recordings_is_confined(settings: Settings) -> None:
    around = Surroundings(settings.var, settings.run, {}, lambda line: None)
    free = {part.name for part in plan_of(settings, around) if part.confined is None}
    assert free == {"web", "worker"}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy in small: a key, a secret that is one's own and one that is not, folders."""
    for name in ("keys/0001.key", "secrets/ari", "secrets/audit", "program/run.py", "journal/old"):
        file = tmp_path / "house" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"what is in {name}")
    return tmp_path / "house"


def of(house: Path) -> Confinement:
    return Confinement(
        hidden=(house / "keys", house / "secrets"),
        reads=(house / "program", house / "secrets" / "ari", house, house / "not-there"),
        writes=(house / "journal", house / "made"),
    )


def done(house: Path, command: str) -> bool:
    """Whether a shell of the same user, confined, is allowed to do it, in the house."""
    ran = subprocess.run(
        ("setpriv", *of(house).options(), "--", "sh", "-euc", command),
        cwd=house,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    refused = ("permission denied", "operation not permitted", "cross-device")
    assert ran.returncode == 0 or any(each in ran.stderr.lower() for each in refused), ran.stderr
    return ran.returncode == 0


@confines
@pytest.mark.parametrize(
    "command",
    [
        "cat program/run.py secrets/ari journal/old",
        "echo more >> journal/old; echo new > journal/new; mv journal/new made/; rm made/new",
        "mkdir journal/aside; rmdir journal/aside; head -c 9 /dev/urandom > /dev/null",
        "getent passwd root; date; cat /proc/self/status > /dev/null",
    ],
)
def test_what_is_named_is_done(house: Path, command: str) -> None:
    assert done(house, command)


@confines
@pytest.mark.parametrize(
    "command",
    [
        "cat keys/0001.key",
        "cat secrets/audit",
        "echo >> keys/0001.key",
        "rm keys/0001.key",
        "ln keys/0001.key journal/key",
        "mv keys journal/keys",
        "mv keys/0001.key journal/key",
        "cd journal; ln -s ../keys/0001.key key; cat key",
        "cat /proc/self/root/$PWD/keys/0001.key",
        "echo 'import os' > program/run.py",
        "mv program old",
        "truncate -s 0 secrets/ari",
        "head -c 1 /proc/$PPID/mem",  # of somebody who is not confined
        "cat /proc/$PPID/root/$PWD/keys/0001.key",
        "mknod journal/disk b 7 0",
        "mount --bind keys journal",
        "setpriv --landlock-access fs --landlock-rule path-beneath:read-file:. cat keys/0001.key",
    ],
)
def test_what_is_not_named_is_refused_also_to_root(house: Path, command: str) -> None:
    assert not done(house, command)
    assert (house / "keys" / "0001.key").read_text() == "what is in keys/0001.key"


@confines
def test_a_link_in_a_folder_of_the_system_opens_nothing(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys lie in a folder that all may read, and so does a link to them."""
    (house / "etc").mkdir()
    (house / "keys").rename(house / "etc" / "keys")
    (house / "etc" / "same").symlink_to(house / "etc" / "keys")
    (house / "etc" / "hosts").write_text("")
    (house / "keys").symlink_to(house / "etc" / "keys")
    system = tuple(Path("/", each) for each in ("bin", "etc", "lib", "lib64", "usr", "proc"))
    monkeypatch.setattr("callcenter.up.confinement.SYSTEM", (*system, house / "etc"))
    assert done(house, "cat etc/hosts")
    for name in ("keys", "etc/keys", "etc/same"):
        assert not done(house, f"cat {name}/0001.key")


@confines
def test_keys_in_a_folder_that_others_write_are_refused(house: Path) -> None:
    with pytest.raises(AskedWrongly, match="must not be in"):
        replace(of(house), writes=(house,)).options()


@pytest.fixture
async def servers(settings: Settings) -> AsyncIterator[Supervisor]:
    """PostgreSQL and Redis as the product starts them, and a key that PostgreSQL's user has."""

    def plan(settings: Settings, around: Surroundings) -> Plan:
        return Plan([[each for each in plan_of(settings, around) if each.name in NAMES]])

    copy = Supervisor(settings, plan, lambda line: None)
    await copy.start()
    owner = settings.postgres_folder.stat()
    for path in (settings.keys, *settings.keys.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    yield copy
    await copy.stop()
    wait_until_gone(settings.var)


NAMES = ("postgres", "redis")


@confines
async def test_the_servers_of_the_product_open_no_key_for_anybody(
    servers: Supervisor, settings: Settings
) -> None:
    (key,) = (settings.keys / "recordings").glob("*.key")
    with psycopg.connect(settings.database, autocommit=True) as connection:
        assert connection.execute("SELECT sum(n) FROM generate_series(1, 9) AS n").fetchone()
        for query in ("SELECT pg_read_file(%s)", "SELECT pg_read_binary_file(%s)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="Permission denied"):
                connection.execute(query, [str(key)])
        with pytest.raises(psycopg.errors.ExternalRoutineException):
            connection.execute(f"COPY (SELECT 1) TO PROGRAM 'cat {key}'")
    assert Redis.from_url(settings.redis).ping()


@confines
def test_a_folder_that_was_brought_into_memory_is_written_through_its_link(house: Path) -> None:
    assert into_memory(house / "made")
    try:
        assert done(house, "echo heard > made/message; cat made/message")
        assert (house / "made" / "message").read_text() == "heard\n"
        assert not done(house, f"echo more > {SHARED_MEMORY}/callcenter-another")
    finally:
        out_of_memory(house / "made")
