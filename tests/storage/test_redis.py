"""What a Redis must not do: evict keys, or come back with what it held before."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.exceptions import RedisError

from callcenter.commands.check import CHECKS, examine
from callcenter.launcher.port_check import free_port
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage.redis import find_openness, open_redis
from tests.clock import real_time
from tests.services import new_folder, redis_command, redis_server

FAULT = "Redis evicts keys when its 64 MiB are full (maxmemory-policy allkeys-lru)"


async def configure(settings: Settings, **values: str) -> None:
    async with open_redis(settings) as redis:
        await redis.config_set("maxmemory", "64mb")
        for name, value in values.items():
            await redis.config_set(name.replace("_", "-"), value)


@pytest.fixture
def own(short_folder: Path, settings: Settings) -> Iterator[Settings]:
    """Settings with a Redis of this test alone."""
    with redis_server(new_folder(short_folder / "redis")) as url:
        changed = settings.model_dump() | {"redis_url": url}
        yield Settings(_env_file=None, **changed)


async def test_a_standstill_of_ours_while_connecting_is_no_fault(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever turn of the loop: beside busy loops it stood still for two seconds and more."""
    loop, late = asyncio.get_running_loop(), 0.0
    monkeypatch.setattr(loop, "time", lambda: time.monotonic() + late)
    for turns in range(12):
        async with open_redis(own) as redis:
            connecting = asyncio.ensure_future(redis.ping())
            for _ in range(turns):
                await asyncio.sleep(0)
            late += 5.0
            assert await connecting


@pytest.mark.parametrize("process", ["controller", "web", "worker"])
def test_a_process_refuses_a_redis_that_evicts(own: Settings, database: str, process: str) -> None:
    asyncio.run(configure(own, maxmemory_policy="allkeys-lru"))
    environment = {
        "CALLCENTER_DATABASE_URL": database,
        "CALLCENTER_REDIS_URL": own.redis,
        "CALLCENTER_VAR": str(own.var),
        "CALLCENTER_METRICS_PORT": "none",
    }
    ended = subprocess.run(
        [sys.executable, "-c", "from callcenter.cli import main; main()", process],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"callcenter: {FAULT}")


@pytest.mark.parametrize(
    ("values", "state", "words"),
    [
        ({}, "ok", "0 waiting, 0 consultants free"),
        ({"maxmemory_policy": "volatile-ttl"}, "BAD", "set maxmemory-policy to noeviction"),
        ({"save": "3600 1"}, "warn", 'set save ""'),
        ({"appendonly": "yes"}, "warn", "appendonly no"),
    ],
)
def test_check_tells_how_redis_keeps_what_it_holds(
    own: Settings, values: dict[str, str], state: str, words: str
) -> None:
    asyncio.run(configure(own, **values))
    state_found, message = examine(CHECKS["servers"]["redis"], own)
    asyncio.run(configure(own, appendonly="no"))  # else it would not end while it writes
    assert state_found == state
    assert words in message


@pytest.fixture
def encrypted(short_folder: Path, settings: Settings) -> Iterator[Settings]:
    """Settings with a Redis that speaks TLS only, and lets in one user of its ACL."""
    folder = new_folder(short_folder / "tls")
    make_certificate(folder)
    port = free_port()
    options = {
        "--tls-port": str(port),
        "--tls-cert-file": str(folder / "cert.pem"),
        "--tls-key-file": str(folder / "key.pem"),
        "--tls-ca-cert-file": str(folder / "cert.pem"),
        "--tls-auth-clients": "no",
    }
    given = [word for option in options.items() for word in option]
    given += ["--user", *["line", "on", ">secret", "~*", "&*", "+@all"]]
    program = [*redis_command(folder / "redis.sock"), *given]
    url = f"rediss://line:secret@127.0.0.1:{port}/0?ssl_ca_certs={folder / 'cert.pem'}"
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, env=real_time()) as run:
        try:
            while not (folder / "redis.sock").exists():
                assert run.poll() is None, "redis-server has ended"
                time.sleep(0.01)
            yield Settings(_env_file=None, **(settings.model_dump() | {"redis_url": url}))
        finally:
            run.terminate()


def make_certificate(folder: Path) -> None:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
    address = x509.IPAddress(IPv4Address("127.0.0.1"))
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    written = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(written)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


async def test_a_redis_with_tls_and_users_is_reached(encrypted: Settings) -> None:
    async with open_redis(encrypted) as redis:
        assert await redis.acl_whoami() == "line"
    assert await find_openness(encrypted) is None


async def test_a_redis_with_another_certificate_is_not_believed(encrypted: Settings) -> None:
    url = encrypted.redis.partition("?")[0]  # its certificate is signed by nobody whom we believe
    changed = encrypted.model_dump() | {"redis_url": url}
    async with open_redis(Settings(_env_file=None, **changed)) as redis:
        with pytest.raises(RedisError, match="certificate verify failed"):
            await redis.ping()


def test_check_warns_of_a_redis_without_a_password(own: Settings) -> None:
    asyncio.run(configure(own, requirepass=""))
    state, message = examine(CHECKS["servers"]["redis"], own)
    assert state == "warn"
    assert "asks nobody for a password" in message
