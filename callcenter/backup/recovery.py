"""Recovery of a base backup to a moment, in a server of its own.

It replays the archived log up to there. Its database is dumped then, and restored as any other: so
the server that goes on has one history, whatever was brought back into it. What is here blocks.
"""

import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psycopg
from pydantic import SecretStr
from pyrage import x25519

from callcenter.backup import archive, log_archive
from callcenter.backup.log_archive import FILE
from callcenter.backup.manifest import Manifest
from callcenter.backup.site_restore import give_to_owner
from callcenter.launcher.postgres import Cluster, cluster_in, give_to, write_file
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.objects import Objects

POLL_INTERVAL = 0.2  # seconds
STOP_LIMIT = 30  # seconds
BEGINNING = re.compile(r"^START WAL LOCATION: .*\(file [0-9A-F]{8}([0-9A-F]{16})\)$", re.MULTILINE)
LAST_COMMIT = re.compile(r"last completed transaction was at log time (\S+ [\d:]+)")
#: How the server was set is of no use to one in a folder of its own, which only recovers.
FILES = {
    "postgresql.conf": "",
    "postgresql.auto.conf": "",
    "pg_hba.conf": "local all all trust\n",
    "pg_ident.conf": "",
    "recovery.signal": "",
}


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """The backup to restore, the key that opens it, the keys to trust and the moment to reach.

    It must be signed by `signer` (SHA-256 of the key) if there is one; the notes beside it by its
    own signer, but for those in `unsigned`. A base backup is brought to `moment`, else as far as
    its log goes.
    """

    name: str
    identity: x25519.Identity
    signer: str | None = None
    unsigned: Collection[str] = ()
    moment: datetime | None = None


class Segments(NamedTuple):
    """The files of a log that a recovery needs."""

    files: Sequence[str]
    has_gap: bool  #: there are later segments, which nothing leads to


def choose_segments(names: Iterable[str], beginning: str, size: int) -> Segments:
    """The segments from `beginning` (its place, 16 digits) on, as far as none is missing.

    `size` is that of a segment in bytes. Histories of timelines are among the files.
    """
    histories, places = list[str](), dict[int, list[str]]()
    for name in sorted(names):
        found = FILE.fullmatch(name)
        if found and found["place"]:
            places.setdefault(_number(found["place"], size), []).append(name)
        elif found:
            histories.append(name)
    at, files = _number(beginning, size), list[str]()
    while at in places:
        files += places[at]
        at += 1
    return Segments([*histories, *files], any(each > at for each in places))


@contextmanager
def recovered(
    settings: Settings,
    place: Objects,
    request: RestoreRequest,
    manifest: Manifest,
    base: Iterable[bytes],
    say: log_archive.Say,
) -> Iterator[Settings]:
    """Settings of a server with the database at that moment, else as far as the log goes.

    The log must be of the request's signer. Needs room for the whole database below
    CALLCENTER_VAR, and the programs of the server that it was. Raises InvalidRequest when the log
    does not reach the moment, DependencyUnavailable, what reading the archive raises,
    OperationFailed and OSError.
    """
    settings.packing.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder, sockets = settings.packing / "recovered", Path(tempfile.mkdtemp(prefix="callcenter-"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    give_to_owner(folder)  # whose server it is then, if root restores
    try:
        cluster = cluster_in(folder, settings.secrets_folder, manifest.database.major)
        give_to(cluster, sockets)
        say("unpacking the base backup")
        _unpack(cluster, base)
        _fetch(cluster, place, request, manifest, say)
        say(f"replaying the log up to {request.moment or 'its end'}")
        with _server(cluster, sockets, request.moment, _url(manifest, sockets)) as url:
            yield settings.model_copy(update={"database_url": SecretStr(url)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)


def _number(place: str, size: int) -> int:
    """The number of a segment: its name has the high half of its first byte, and the rest."""
    return int(place[:8], 16) * (2**32 // size) + int(place[8:], 16)


def _unpack(cluster: Cluster, base: Iterable[bytes]) -> None:
    """Unpack the base backup as the server's user, who must own all of it."""
    cluster.data.mkdir(mode=0o700)
    give_to(cluster, cluster.data)
    command = ("tar", "--extract", "--file=-", f"--directory={cluster.data}")
    with subprocess.Popen(_as_server(cluster, command), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - a pipe
        with suppress(BrokenPipeError):  # it has failed, and says why
            for chunk in base:
                process.stdin.write(chunk)
            process.stdin.close()
    if process.returncode != 0:
        raise OperationFailed(f"the base backup cannot be unpacked into {cluster.data}")
    cluster.data.chmod(0o700)
    for name, text in FILES.items():
        write_file(cluster, name, text)


def _fetch(
    cluster: Cluster,
    place: Objects,
    request: RestoreRequest,
    manifest: Manifest,
    say: log_archive.Say,
) -> None:
    """Bring the log that is needed, packed, to where the server finds it."""
    assert manifest.server is not None  # noqa: S101 - it is of a base backup
    found = BEGINNING.search((cluster.data / "backup_label").read_text())
    if found is None:
        raise OperationFailed("the base backup does not say where its log begins")
    now = datetime.now(UTC)
    until = min(request.moment + log_archive.DAY, now) if request.moment else now
    archived = log_archive.list_archived(
        place, manifest.server.system, manifest.database.taken_at.date(), until.date()
    )
    segments = choose_segments(archived, found[1], manifest.server.segment)
    say(f"log: {len(segments.files)} segments")
    if segments.has_gap:
        say("THE LOG HAS A GAP: what comes after it cannot be restored from this backup")
    folder = _log_folder(cluster)
    folder.mkdir(mode=0o700)
    give_to(cluster, folder)
    for name in segments.files:
        with archive.decrypted(place, archived[name], [request.identity]) as tar:
            archive.verify(tar, request.signer)
            (folder / name).write_bytes(archive.read(tar, name))
        give_to(cluster, folder / name)


def _log_folder(cluster: Cluster) -> Path:
    return cluster.folder / "log"


@contextmanager
def _server(cluster: Cluster, sockets: Path, moment: datetime | None, url: str) -> Iterator[str]:
    """The URL of the database, when all is replayed."""
    file = shlex.quote(str(_log_folder(cluster))).replace("%", "%%") + "/%f"
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "port": "5432",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_error_verbosity": "terse",
        "restore_command": f'[ -e {file}.gz ] && gzip -dc {file}.gz >"%p" || cp {file} "%p"',
        "recovery_target_action": "promote",
        # Nobody is served before all is replayed.
        "hot_standby": "off",
        # It is thrown away.
        "fsync": "off",
        "autovacuum": "off",
    }
    if moment is not None:
        options["recovery_target_time"] = moment.isoformat()
    said = cluster.folder / "recovery.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            _as_server(cluster, _command(cluster, options)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        while not _serves(url):
            if process.poll() is not None:
                raise _failure(said.read_text(errors="replace"))
            time.sleep(POLL_INTERVAL)
        yield url
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nothing of it is needed
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _command(cluster: Cluster, options: Mapping[str, str]) -> Sequence[str]:
    settings = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
    return (str(cluster.programs / "postgres"), "-D", str(cluster.data), *settings)


def _as_server(cluster: Cluster, command: Sequence[str]) -> Sequence[str]:
    return ("setpriv", *cluster.privileges, "--pdeathsig", "QUIT", "--", *command)


def _url(manifest: Manifest, sockets: Path) -> str:
    assert manifest.server is not None  # noqa: S101 - it is of a base backup
    owner, database = quote(manifest.database.owner, ""), quote(manifest.server.database, "")
    return f"postgresql://{owner}@/{database}?host={quote(str(sockets))}"


def _serves(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _failure(said: str) -> InvalidRequest | OperationFailed:
    if "recovery ended before configured recovery target" in said:
        last = LAST_COMMIT.search(said)
        return InvalidRequest(
            f"the archived log does not reach that time{f': it ends at {last[1]}' if last else ''}"
            "; without --to all that it has is restored"
        )
    if "before consistent recovery point" in said:
        return InvalidRequest("this backup was still being made at that time: name the one before")
    # Whoever connects too early is refused so too: that is no failure.
    failures = [
        line.partition("FATAL: ")[2].strip()
        for line in said.splitlines()
        if "FATAL: " in line and "the database system is" not in line
    ]
    return OperationFailed(f"the log cannot be replayed: {[*failures, 'it said nothing'][0]}")
