"""Secrets of this copy: each is generated once, kept in a file of its own, and never logged.

`ari` and `ami` are the passwords of Asterisk's two interfaces, `audit` is the seed of the key that
signs heads of the audit log, `disclosures` of the one that signs what the authority is given.
`second_factor` encrypts the second factors of people who sign in.
"""

import os
import re
import secrets
import stat
from pathlib import Path
from tempfile import NamedTemporaryFile

from callcenter.errors import AskedWrongly, WeFailed

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_secret(folder: Path, name: str) -> str:
    """The secret of this name: one line of text, without the line's end.

    The environment variable `CALLCENTER_SECRET_<NAME>` wins. Otherwise it is the file `folder/name`
    (mode 0600, in a folder of mode 0700), which is generated if it is missing; processes that
    start at once agree on one value.
    Raises AskedWrongly when the file is open to other users or holds no secret, WeFailed when it
    cannot be read or written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise AskedWrongly(f"{name!r} cannot be the name of a secret: use a-z, 0-9 and _")
    variable = f"CALLCENTER_SECRET_{name.upper()}"
    if variable in os.environ:
        return _checked(os.environ[variable], f"the variable {variable}")
    path = folder / name
    try:
        if not path.exists():
            write_once(path, secrets.token_urlsafe(32) + "\n")
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & OTHERS:
                raise AskedWrongly(f"{path} is open to other users: run `chmod 600 {path}`")
            return _checked(file.read().rstrip("\n"), str(path))
    except (OSError, UnicodeDecodeError) as exc:
        raise WeFailed(f"cannot read the secret in {path}: {exc}") from exc


def write_once(path: Path, text: str) -> None:
    """Make a file (mode 0600, in a folder of mode 0700), whole or not at all, if it is not there.

    One that is there stays as it is, also when two processes do this at once. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        try:
            # A link, unlike a rename, never replaces the value of the process that was first.
            os.link(file.name, path)
        except FileExistsError:
            return


def _checked(value: str, where: str) -> str:
    if not value.strip() or not value.isprintable():
        raise AskedWrongly(f"{where} must hold a secret: one line of printable characters")
    return value
