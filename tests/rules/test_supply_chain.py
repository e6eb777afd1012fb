"""The audit of dependencies calls nothing clean that was not looked at; the bill names all."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6

from callcenter.telephony.asterisk.config import private_tree
from tests.launcher.rig import asterisk_tree
from tests.sbom import ROOT, bill, programs, read_installed, with_dependencies
from tests.supply_audit import (
    FOUND,
    UNANSWERED,
    Audit,
    age_of_asterisk,
    describe,
    exit_status,
    read_npm_audit,
    read_npm_signatures,
    read_pip_audit,
)

CLEAN = {"name": "aiohttp", "version": "3.14.1", "vulns": []}
HOLE = {
    "name": "jinja2",
    "version": "3.1.1",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3.1.6"], "aliases": []}],
}
PASSED_OVER = {
    "name": "redis",
    "skip_reason": "Dependency not found on PyPI and could not be audited: redis (8.1.0)",
}


def pip_audit(*packages: object) -> Audit:
    return read_pip_audit(json.dumps({"dependencies": packages, "fixes": []}), "")


def test_packages_that_the_service_passes_over_are_not_clean() -> None:
    audit = pip_audit(CLEAN, PASSED_OVER)
    assert exit_status([audit]) == UNANSWERED
    [line] = describe(audit)
    assert line.startswith("NOT AUDITED  Python packages, known holes: 1 of 2 packages: Dependency")
    assert exit_status([pip_audit()]) == UNANSWERED


def test_a_hole_is_named_with_its_cure() -> None:
    audit = pip_audit(CLEAN, HOLE, PASSED_OVER)
    assert exit_status([audit]) == FOUND
    assert [line.split()[0] for line in describe(audit)] == ["FOUND", "NOT"]
    assert audit.found == ["jinja2 3.1.1: PYSEC-2026-1, mended in 3.1.6"]


def test_all_clean_is_said() -> None:
    audits = [
        pip_audit(CLEAN),
        read_npm_audit('{"auditReportVersion": 2, "vulnerabilities": {}}', ""),
        read_npm_signatures('{"invalid": [], "missing": []}', ""),
    ]
    assert exit_status(audits) == 0
    assert {line.split()[0] for each in audits for line in describe(each)} == {"ok"}


def test_faults_of_npm_packages_are_named() -> None:
    hole = {"vulnerabilities": {"jssip": {"severity": "high", "range": "<3.13.9"}}}
    forged = {"invalid": [{"name": "jssip", "version": "3.13.8"}], "missing": []}
    holes, signatures = (
        read_npm_audit(json.dumps(hole), ""),
        read_npm_signatures(json.dumps(forged), ""),
    )
    assert holes.found == ["jssip <3.13.9: high"]
    assert signatures.found == ["jssip 3.13.8: signature invalid"]
    assert exit_status([holes]) == exit_status([signatures]) == FOUND


@pytest.mark.parametrize("read", [read_pip_audit, read_npm_audit, read_npm_signatures])
def test_a_service_without_an_answer_audits_nothing(read: Callable[[str, str], Audit]) -> None:
    for output, errors, why in (
        ("", "Traceback:\n  x\nConnectionError: no such name\n\n", "ConnectionError: no such name"),
        ("", "", "the service said nothing"),
        ("[]", "npm error no\nnpm error A complete log of this run: x", "npm error"),
    ):
        audit = read(output, errors)
        assert exit_status([audit]) == UNANSWERED
        assert why in next(describe(audit))


def test_what_npm_says_of_its_registry_is_passed_on() -> None:
    refused = {"message": "405 Method Not Allowed", "error": {"summary": "", "detail": ""}}
    unreachable = {"error": {"code": "ENOTFOUND", "summary": "request failed"}}
    assert read_npm_audit(json.dumps(refused), "").unanswered == "405 Method Not Allowed"
    assert read_npm_signatures(json.dumps(unreachable), "").unanswered == "request failed"


def test_a_missing_asterisk_is_not_audited(tmp_path: Path) -> None:
    assert exit_status([age_of_asterisk(tmp_path)]) == UNANSWERED
    assert exit_status([age_of_asterisk(asterisk_tree(tmp_path / "tree", "1:22.10.1-1"))]) == 0


def test_the_bill_names_all_that_runs(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: age\nStatus: install ok installed\nVersion: 1.2\n"
        "Depends: libc6 (>= 2), any | no\n\n"
        "Package: libc6\nStatus: install ok installed\nVersion: 2.41\n\n"
        "Package: some\nStatus: install ok installed\nVersion: 3\nProvides: any\n\n"
        "Package: left\nStatus: deinstall ok config-files\nVersion: 4\n\n"
        "Package: other\nStatus: install ok installed\nVersion: 5\n\n"
    )
    tree = asterisk_tree(tmp_path / "tree", "1:22.10.1-1")
    written = JsonV1Dot6(bill(tree, read_installed(status))).output_as_string()
    bom = Bom.from_json(json.loads(written))  # type: ignore[attr-defined]
    urls = {str(each.purl): each for each in bom.components}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE)
    assert {f"pkg:pypi/{name}@{version}" for name, version in locked} <= set(urls)
    asterisk = urls["pkg:deb/debian/asterisk@1:22.10.1-1?distro=forky"]
    assert {each.name: each.value for each in asterisk.properties}["callcenter:patched"] == "yes"
    debian = {name for name in urls if name.startswith("pkg:deb/")}
    assert {name.partition("@")[0].rpartition("/")[2] for name in debian} == {
        *("age", "libc6", "some"),
        "asterisk",
    }
    assert "pkg:npm/jssip" in "".join(urls)
    assert "esbuild" not in written  # it builds the pages, and is not in them


def test_what_set_up_installs_to_run_is_in_the_bill() -> None:
    assert {"python3", "redis-server", "espeak-ng", "age"} <= set(programs())
    assert "chromium" not in programs()
    assert with_dependencies(["nothing"], {}) == []


def test_versions_are_read_from_changelogs(tmp_path: Path) -> None:
    tree = asterisk_tree(tmp_path / "tree", "1:22.10.1-1")
    folder = tree / "usr" / "share" / "doc" / "libc6"
    folder.mkdir()
    (folder / "changelog.gz").write_bytes(gzip.compress(b"glibc (2.43-1) unstable; urgency=low\n"))
    (folder.parent / "same").symlink_to("libc6")
    (folder.parent / "none").mkdir()
    expected = {"asterisk": "1:22.10.1-1", "libc6": "2.43-1", "same": "2.43-1"}
    assert private_tree.packages(tree) == expected
