"""An S3 server of one's own: nanio, which keeps its objects as files."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from urllib.parse import quote

import httpx
import obstore
from obstore.store import S3Store
from pydantic import SecretStr

KEY, SECRET = "center", "secret/with+signs"
_numbers = count(1)


class S3Server:
    """A server that can be stopped, and started again with what it had."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        self._command = (
            *(sys.executable, "-m", "nanio", "serve", "--host", "127.0.0.1", "--port", str(port)),
            *("--data-dir", str(folder), "--no-access-log"),
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(
            self._command,
            env=os.environ | {"NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            assert self._process.poll() is None, "the S3 server has ended"
            assert time.monotonic() < deadline, "the S3 server does not answer in 30 s"
            try:
                httpx.get(self.endpoint, timeout=5)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """As when its machine loses power. Repeatable."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def new_bucket(self) -> SecretStr:
        """A new bucket, as settings name it."""
        name = f"bucket-{next(_numbers)}"
        signed = obstore.sign(self.store(name), "PUT", "", timedelta(minutes=1))
        assert httpx.put(signed).status_code == httpx.codes.OK
        secret = quote(SECRET, safe="")
        return SecretStr(f"s3://{KEY}:{secret}@{name}/kept?endpoint={self.endpoint}")

    def store(self, bucket: str) -> S3Store:
        """A client of a bucket, beside that of the product."""
        return S3Store(
            bucket,
            endpoint=self.endpoint,
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server that runs within the block."""
    server = S3Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
