"""No part opens what it needs not, although all run as one user. See tests/demo for a call."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from callcenter.bootstrap.data_secrets import WORDS
from callcenter.intake.drivers.portal.opening import PORTAL, publish_key
from callcenter.launcher import process_plan
from callcenter.launcher import sandbox as sandbox_module
from callcenter.launcher.managed_process import LaunchContext, ProcessSpec
from callcenter.launcher.postgres import OWNER
from callcenter.launcher.process_plan import SERVERS, product
from callcenter.launcher.process_secrets import secrets_of
from callcenter.launcher.sandbox import Sandbox, can_confine
from callcenter.launcher.supervisor import LaunchPlan, ProcessSupervisor, environment
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.secrets import read_secret, secret_variable
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole, make_password, password_file
from callcenter.platform.storage.redis import REDIS
from callcenter.recordings.sealing import keys
from callcenter.telephony.asterisk.config.binary import find_asterisk
from tests.launcher.rig import wait_until_gone
from tests.services import changed

CREATE_RULESET = 444  # landlock_create_ruleset(2), the same on every architecture
VERSION = 1  # what it is asked for
WITH_TRUNCATE = 3  # the version that knows all that we refuse

confines = pytest.mark.skipif(not can_confine(), reason="this kernel has no Landlock")


def test_we_confine_wherever_the_kernel_can() -> None:
    kernel = ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, VERSION)
    assert can_confine() == (kernel >= WITH_TRUNCATE)


def plan_of(settings: Settings, around: LaunchContext) -> list[ProcessSpec]:
    return [
        member
        for stage in product(settings, around).stages
        for member in stage
        if isinstance(member, ProcessSpec)
    ]


def of_product(settings: Settings) -> dict[str, ProcessSpec]:
    """Its processes, with all that settings may add."""
    settings = changed(settings, backup_method="continuous", backups=str(settings.var / "copies"))
    given = environment(settings)
    around = LaunchContext(settings.var, settings.run, given, lambda line: None)
    return {part.name: part for part in plan_of(settings, around)}


def test_a_portal_without_its_own_role_is_left_out(settings: Settings) -> None:
    own_server = changed(settings, database_url="postgresql://owner@127.0.0.1/ours")
    assert "portal" in of_product(settings)
    assert "portal" in of_product(own_server)
    password_file(settings.secrets_folder, DatabaseRole.PORTAL).unlink()
    assert "portal" in of_product(settings)  # the embedded server makes it
    assert "portal" not in of_product(own_server)


@confines
def test_the_portal_reads_a_key_that_came_later(settings: Settings) -> None:
    keys.make(settings.keys, PORTAL)
    publish_key(settings)
    sandbox = of_product(settings)["portal"].sandbox
    assert sandbox is not None
    read_later = ("sh", "-c", 'echo confined; read go; cat "$0"', settings.portal_key_file)
    with subprocess.Popen(
        ("setpriv", *sandbox.options(), "--", *read_later),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as confined:
        assert confined.stdout is not None
        assert confined.stdout.readline() == "confined\n"
        newest = keys.make(settings.keys, PORTAL)
        publish_key(settings)
        read, _ = confined.communicate("go\n", timeout=20)
    assert read == f"{newest}\n"


def test_the_portal_is_given_its_own_settings_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hushed")
    monkeypatch.setenv("PGPASSWORD", "hushed")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    own_server = changed(
        settings,
        database_url="postgresql://owner:hushed@127.0.0.1/ours",
        recordings_url="s3://key:hushed@store/of?endpoint=https://example.kz",
        smtp_url="smtps://we:hushed@mail.example.kz",
        portal_url="https://jazba.example.kz",
    )
    part = of_product(own_server)["portal"]
    all_of_ours = environment(own_server)
    got = {name: all_of_ours[name] for name in all_of_ours.keys() - part.withheld}
    got.update(part.given)
    settings_of_ours = {name for name in got if name.startswith("CALLCENTER_")}
    assert settings_of_ours == {
        "CALLCENTER_DATABASE_URL",
        "CALLCENTER_METRICS_PORT",
        "CALLCENTER_PORTAL_ADDRESS",
        "CALLCENTER_PORTAL_EXIT_URL",
        "CALLCENTER_PORTAL_PORT",
        "CALLCENTER_PORTAL_URL",
        "CALLCENTER_VAR",
    }
    assert "hushed" not in str(got)
    assert got["PGSSLMODE"] == "verify-full"  # else it would speak to anybody's server
    assert "callcenter_portal@127.0.0.1" in got["CALLCENTER_DATABASE_URL"]


@confines
@pytest.mark.parametrize("system", [(), ("opt",)])
def test_portal_and_servers_read_no_file_of_settings(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: tuple[str, ...]
) -> None:
    """Also of a copy that lies where all programs read."""
    folders = (*sandbox_module.SYSTEM, *(tmp_path / each for each in system))
    monkeypatch.setattr(sandbox_module, "SYSTEM", folders)
    file = tmp_path / "opt" / "callcenter.env"
    file.parent.mkdir()
    file.write_text("CALLCENTER_SMTP_URL=smtps://we:word@mail.example.kz")
    monkeypatch.setattr(process_plan, "SETTINGS_FILE", file)
    read = {}
    for name, part in of_product(settings).items():
        assert part.sandbox is not None
        sandbox = replace(part.sandbox, executes=None)
        ran = subprocess.run(
            ("setpriv", *sandbox.options(), "--", "cat", file),
            capture_output=True,
            timeout=20,
            check=False,
        )
        read[name] = ran.returncode == 0
    assert {name for name in read if not read[name]} == {*SERVERS, "portal"}


READ_ALL = """
for file in "$0"/* "$1"/*/*; do
    if head -c 1 "$file" > /dev/null 2>&1; then echo "${file##*/}"; fi
done
"""


@confines
def test_each_process_reads_its_own_secrets_alone(settings: Settings) -> None:
    """All are there, those of the database's owner and of people's commands too."""
    make_password(settings.secrets_folder, OWNER)
    folders = (settings.secrets_folder, settings.keys)
    of_portal = settings.keys / "portal" / "0009.key"
    of_portal.parent.mkdir()
    of_portal.write_text("a key")
    for name, part in of_product(settings).items():
        assert part.sandbox is not None, name
        sandbox = replace(part.sandbox, executes=None)  # else Asterisk's refuses the shell
        read = subprocess.run(
            ("setpriv", *sandbox.options(), "--", "sh", "-uc", READ_ALL, *folders),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        own = set() if name in SERVERS else {*secrets_of(name)}
        keys = {"web": {"0001.key"}, "worker": {"0001.key", "0009.key"}}.get(name, set())
        assert set(read.stdout.split()) == own | keys, name


@confines
def test_asterisk_starts_itself_and_no_shell(settings: Settings) -> None:
    """As MixMonitor's command would by AMI, or System in the dialplan."""
    sandbox = of_product(settings)["asterisk"].sandbox
    assert sandbox is not None
    confined = ("setpriv", *sandbox.options(), "--")

    def starts(*command: str) -> bool:
        ran = subprocess.run((*confined, *command), capture_output=True, timeout=20, check=False)
        return ran.returncode == 0

    assert starts(*find_asterisk(settings).command, "-V")
    shell = shutil.which("sh")
    assert shell is not None
    assert not starts(shell, "-c", "true")
    # A child of what it may start is held to the same.
    python = Path(sys.executable).resolve()
    allowed = replace(sandbox, executes=(*(sandbox.executes or ()), python))
    confined = ("setpriv", *allowed.options(), "--")
    assert starts(str(python), "-Ic", "pass")
    assert not starts(str(python), "-Ic", "import os, sys; sys.exit(os.system('true') != 0)")


def test_a_process_is_given_no_secret_of_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {secret_variable(each) for each in (*WORDS, "ari", "ami", "hep", "operator_beeline")}
    for each in secrets:
        monkeypatch.setenv(each, "a word")
    for name, part in of_product(settings).items():
        left = environment(settings).keys() - part.withheld
        if name in SERVERS:
            assert not any(each.startswith("CALLCENTER_") for each in left)
        else:
            assert left & secrets == {secret_variable(each) for each in secrets_of(name)} & secrets
            assert "CALLCENTER_VAR" in left


@pytest.fixture
def call_center(tmp_path: Path) -> Path:
    """A copy in small: a key, a secret that is one's own and one that is not, folders."""
    for name in ("keys/0001.key", "secrets/ari", "secrets/audit", "program/run.py", "journal/old"):
        file = tmp_path / "house" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"what is in {name}")
    return tmp_path / "house"


def of(call_center: Path) -> Sandbox:
    return Sandbox(
        hidden=(call_center / "keys", call_center / "secrets"),
        reads=(
            call_center / "program",
            call_center / "secrets" / "ari",
            call_center,
            call_center / "not-there",
        ),
        writes=(call_center / "journal", call_center / "made"),
    )


def done(call_center: Path, command: str) -> bool:
    """Whether a shell of the same user, confined, is allowed to do it, in the house."""
    ran = subprocess.run(
        ("setpriv", *of(call_center).options(), "--", "sh", "-euc", command),
        cwd=call_center,
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
def test_what_is_named_is_done(call_center: Path, command: str) -> None:
    assert done(call_center, command)


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
def test_what_is_not_named_is_refused_also_to_root(call_center: Path, command: str) -> None:
    assert not done(call_center, command)
    assert (call_center / "keys" / "0001.key").read_text() == "what is in keys/0001.key"


@confines
def test_a_link_in_a_folder_of_the_system_opens_nothing(
    call_center: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys lie in a folder that all may read, and so does a link to them."""
    (call_center / "etc").mkdir()
    (call_center / "keys").rename(call_center / "etc" / "keys")
    (call_center / "etc" / "same").symlink_to(call_center / "etc" / "keys")
    (call_center / "etc" / "hosts").write_text("")
    (call_center / "keys").symlink_to(call_center / "etc" / "keys")
    system = tuple(Path("/", each) for each in ("bin", "etc", "lib", "lib64", "usr", "proc"))
    monkeypatch.setattr("callcenter.launcher.sandbox.SYSTEM", (*system, call_center / "etc"))
    assert done(call_center, "cat etc/hosts")
    for name in ("keys", "etc/keys", "etc/same"):
        assert not done(call_center, f"cat {name}/0001.key")


@confines
def test_keys_in_a_folder_that_others_write_are_refused(call_center: Path) -> None:
    with pytest.raises(InvalidRequest, match="must not be in"):
        replace(of(call_center), writes=(call_center,)).options()


@pytest.fixture
async def servers(settings: Settings) -> AsyncIterator[ProcessSupervisor]:
    """PostgreSQL and Redis as the product starts them, and a key that PostgreSQL's user has."""

    def plan(settings: Settings, around: LaunchContext) -> LaunchPlan:
        return LaunchPlan([[each for each in plan_of(settings, around) if each.name in NAMES]])

    copy = ProcessSupervisor(settings, plan, lambda line: None)
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
    servers: ProcessSupervisor, settings: Settings
) -> None:
    (key,) = (settings.keys / "recordings").glob("*.key")
    with psycopg.connect(settings.database, autocommit=True) as connection:
        assert connection.execute("SELECT sum(n) FROM generate_series(1, 9) AS n").fetchone()
        for query in ("SELECT pg_read_file(%s)", "SELECT pg_read_binary_file(%s)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="Permission denied"):
                connection.execute(query, [str(key)])
        with pytest.raises(psycopg.errors.ExternalRoutineException):
            connection.execute(f"COPY (SELECT 1) TO PROGRAM 'cat {key}'")
    password = read_secret(settings.secrets_folder, REDIS)
    assert Redis.from_url(settings.redis, password=password).ping()
