"""Secrets of this copy: generated once, stored in a file each, and never logged.

`ari`, `ami` and `hep` are the passwords of Asterisk's interfaces: whoever writes its configuration
makes them. `redis` is that of the Redis of `callcenter up`, which makes it. `operator_<NAME>` are
given: an operator's password of our account. All others have a fingerprint in the database
(`bootstrap.data_secrets`). None is made by who reads it.
"""

import os
import re
import secrets
import stat
from pathlib import Path
from tempfile import NamedTemporaryFile

from callcenter.platform.core.errors import InvalidRequest, OperationFailed

OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretMissing(OperationFailed):
    """A secret is not there."""


def read_secret(folder: Path, name: str) -> str:
    """The secret of this name: one line of text, without the line's end.

    The environment variable `CALLCENTER_SECRET_<NAME>` wins. Otherwise it is the file `folder/name`
    (mode 0600, in a folder of mode 0700). Raises SecretMissing when there is neither,
    InvalidRequest when the file is open to other users or holds no secret, OperationFailed when it
    cannot be read."""
    variable = secret_variable(name)
    if variable in os.environ:
        return _checked(os.environ[variable], f"the variable {variable}")
    path = folder / name
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & OTHERS:
                raise InvalidRequest(f"{path} is open to other users: run `chmod 600 {path}`")
            return _checked(file.read().rstrip("\n"), str(path))
    except FileNotFoundError:
        raise SecretMissing(
            f"the secret {path} is missing: restore it (mode 0600), or set {variable}; "
            'see "Secrets" in docs/operations/running.md'
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise OperationFailed(f"cannot read the secret in {path}: {exc}") from exc


def make_secret(folder: Path, name: str) -> None:
    """Generate the secret of this name, 256 random bits, unless it is there.

    Processes that do so at once agree on one value. Raises InvalidRequest for what can be no name
    of a secret, OperationFailed when it cannot be written.
    """
    if secret_variable(name) in os.environ:
        return
    path = folder / name
    try:
        if not path.exists():
            write_once(path, secrets.token_urlsafe(32) + "\n")
    except OSError as exc:
        raise OperationFailed(f"cannot write the secret in {path}: {exc}") from exc


def secret_variable(name: str) -> str:
    """The environment variable of this secret. Raises InvalidRequest for what can be no name."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InvalidRequest(f"{name!r} cannot be the name of a secret: use a-z, 0-9 and _")
    return f"CALLCENTER_SECRET_{name.upper()}"


def write_once(path: Path, text: str) -> None:
    """Make a file, whole or not at all, if it is not there.

    Its mode is 0600, in a folder of mode 0700; the group of a shared folder reads it too. One that
    is there stays as it is, also when two processes do this at once. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o600 | shared_rights(path.parent) & stat.S_IRGRP)
        file.flush()
        os.fsync(file.fileno())
        try:
            # A link, unlike a rename, never replaces the value of the process that was first.
            os.link(file.name, path)
        except FileExistsError:
            return


def shared_rights(folder: Path) -> int:
    """Rights of the group with which a folder is shared, as bits of its mode. Raises OSError.

    A folder is shared where it gives its group to what is made in it (setgid): we make none so.
    """
    mode = folder.stat().st_mode
    return mode & stat.S_IRWXG if mode & stat.S_ISGID else 0


def _checked(value: str, where: str) -> str:
    if not value.strip() or not value.isprintable():
        raise InvalidRequest(f"{where} must hold a secret: one line of printable characters")
    return value
