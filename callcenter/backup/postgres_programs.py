"""PostgreSQL's own programs of backups, as processes that are fed and read in pieces.

They are those of the wheel (PostgreSQL 18), which dump older servers too. A password reaches them
by the environment, never by the command line. They end with this process: a pg_restore that went on
would fill the database of which the next restore thinks that it is empty. These functions block.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from callcenter.launcher.postgres import programs
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings

CHUNK = 16 * 1024 * 1024  # bytes


class DatabaseCopy:
    """A copy of the database that a program is making."""

    def __init__(self, settings: Settings, program: str, *options: str) -> None:
        self._program = program
        self._errors = TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = process = _spawn(
            settings, program, options, self._errors, stdout=subprocess.PIPE
        )
        assert process.stdout is not None  # noqa: S101 - a pipe
        self._output = process.stdout

    def __enter__(self) -> "DatabaseCopy":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def wait_for_snapshot(self) -> None:
        """Return when it has begun: pg_dump has the snapshot, and who exported it may go on."""
        self._output.peek(1)  # type: ignore[attr-defined]  # it is buffered

    def chunks(self) -> Iterator[bytes]:
        """The copy. Raises OperationFailed when the program fails."""
        while chunk := self._output.read(CHUNK):
            yield chunk
        _require_success(self._program, self._process, self._errors)

    def end(self) -> None:
        """End the program, if it has not ended yet."""
        self._process.kill()
        self._process.wait()
        self._output.close()
        self._errors.close()


def dump(settings: Settings, *options: str) -> DatabaseCopy:
    """Start pg_dump of the database in PostgreSQL's custom format; `end` must be called."""
    return DatabaseCopy(
        settings, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", *options
    )


def base_backup(settings: Settings) -> DatabaseCopy:
    """Start a base backup of the whole server, as a tar file; `end` must be called.

    The log that makes it consistent is in it.
    """
    return DatabaseCopy(
        settings,
        "pg_basebackup",
        *("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast"),
        *("--no-manifest", "--no-password"),
    )


def receive_log(settings: Settings, slot: str, folder: Path, last: int) -> None:
    """Receive the log from where the slot is to the byte `last`, in segments packed by gzip.

    Raises OperationFailed with the line of pg_receivewal that names the error.
    """
    options = (
        *(
            f"--slot={slot}",
            f"--directory={folder}",
            f"--endpos={last >> 32:X}/{last & 0xFFFFFFFF:X}",
        ),
        *("--no-loop", "--compress=gzip", "--no-password"),
    )
    with TemporaryFile(dir=folder) as errors:
        process = _spawn(settings, "pg_receivewal", options, errors)
        try:
            _require_success("pg_receivewal", process, errors)
        finally:
            process.kill()
            process.wait()


def restore(settings: Settings, chunks: Iterable[bytes]) -> None:
    """Restore a dump into the database, all of it or nothing.

    Raises OperationFailed with the line of pg_restore that names the error.
    """
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    with TemporaryFile() as errors:
        process = _spawn(settings, "pg_restore", options, errors, stdin=subprocess.PIPE)
        assert process.stdin is not None  # noqa: S101 - a pipe
        try:
            with suppress(BrokenPipeError):  # it has failed, and says why
                for chunk in chunks:
                    process.stdin.write(chunk)
            with suppress(BrokenPipeError):
                process.stdin.close()
            _require_success("pg_restore", process, errors)
        finally:
            process.kill()
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()


def _spawn(
    settings: Settings,
    program: str,
    options: tuple[str, ...],
    errors: IO[bytes],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    address = conninfo_to_dict(settings.database)
    password = address.pop("password", None)
    target = make_conninfo("", **address)
    environment = dict(os.environ) | ({"PGPASSWORD": str(password)} if password else {})
    return subprocess.Popen(
        [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *(str(programs() / program), *options, f"--dbname={target}"),
        ],
        stdin=stdin,
        stdout=stdout,
        stderr=errors,
        env=environment,
    )


def _require_success(program: str, process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    """Wait for its end. Raises OperationFailed with the line that names the error."""
    status = process.wait()
    if status == 0:
        return
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    # The detail of an error quotes rows; the line that names the error does not.
    said = next((each for each in lines if "error:" in each), f"{program}: it said nothing")
    raise OperationFailed(f"{program} failed ({status}): {said.partition('error: ')[2] or said}")
