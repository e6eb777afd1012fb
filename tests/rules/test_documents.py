"""Documents name files that exist, link to what is there, and keep their form."""

import re
from pathlib import Path

import pytest

from callcenter.cli import COMMANDS
from callcenter.platform.core.settings import Settings

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = sorted(
    file for pattern in ("*.md", "docs/**/*.md", "recordings/*.md") for file in ROOT.glob(pattern)
)
#: Documents of the code as it is now: the others also name what is gone.
OF_TODAY = [
    document
    for document in DOCUMENTS
    if DECISIONS not in document.parents and document.name not in ("CHANGELOG.md", "upgrading.md")
]
#: Named by variables of the environment, but no settings.
SECRETS = {
    f"SECRET_{name}" for name in ("ARI", "AMI", "ORDERS_CALLS", "REDIS_CONTROLLER", "REGISTER")
}
TOP = tuple(
    f"{name}/"
    for name in (
        "callcenter",
        "tests",
        "docs",
        "migrations",
        "scripts",
        "dialplan",
        "asterisk-conf",
    )
)
CATALOGUES = ("callcenter/**/locale/*.po", "callcenter/**/texts.json", "migrations/versions/*.json")

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
STATUS = re.compile(r"accepted( \(for .+ superseded by \d+\))?|superseded by \d+")
SECTIONS = ["Context", "Decision", "Consequences"]  #: of a decision; "Rejected" may follow
INDEX_ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (.+) \|$", re.MULTILINE)


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as hosts of repositories make them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-")
        for heading in HEADING.findall(read(file))
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(read(document)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("document", OF_TODAY, ids=name_of)
def test_named_commands_and_settings_exist(document: Path) -> None:
    text = read(document)
    named = re.findall(r"(?:`|^)(?:\.venv/bin/)?callcenter ([a-z][a-z-]+)", text, re.MULTILINE)
    assert set(named) - set(COMMANDS) == set()
    targets = set(re.findall(r"`make ([a-z-]+)", text))
    assert targets - set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE)) == set()
    settings = set(re.findall(r"\bCALLCENTER_([A-Z_]*[A-Z])\b", text))
    assert {name for name in settings if name.lower() not in Settings.model_fields} <= SECRETS


@pytest.mark.parametrize("document", OF_TODAY, ids=name_of)
def test_named_paths_exist(document: Path) -> None:
    named = {code for code in CODE.findall(read(document)) if code.startswith(TOP)}
    paths = {code for code in named if " " not in code and not re.search(r"[*{<]|NAME|ROOM", code)}
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_rooms_of_wings_exist() -> None:
    for row in read(ROOT / "docs" / "where-things-are.md").splitlines():
        wing, *rooms = [code for code in CODE.findall(row) if code.endswith("/")] or [""]
        if row.startswith("| `callcenter/") and "·" in row:
            assert [room for room in rooms if not (ROOT / wing / room).is_dir()] == []


def test_the_map_is_one_page() -> None:
    assert len(read(ROOT / "docs" / "where-things-are.md").splitlines()) <= 80


def test_long_documents_begin_with_a_summary() -> None:
    """Lists where one looks a row up, and letters to be followed step by step, need none."""
    listed = ("CHANGELOG.md", "glossary.md", "licences.md")
    long = [each for each in DOCUMENTS if len(read(each).splitlines()) > 150]
    texts = [each for each in long if each.name not in listed and DECISIONS not in each.parents]
    assert len(texts) >= 4
    assert [each.name for each in texts if "**Summary" not in read(each)[:200]] == []


def test_a_calls_walk_has_ten_steps_with_a_file_each() -> None:
    steps = re.findall(r"^\d+\. .+$", read(ROOT / "docs" / "where-things-are.md"), re.MULTILINE)
    assert len(steps) == 10
    assert all(any((ROOT / code).is_file() for code in CODE.findall(step)) for step in steps)


def test_every_decision_is_in_the_index_with_title_and_status() -> None:
    indexed = {file: row for *row, file in _index_rows()}
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [file.name[:4] for file in files] == [f"{n:04}" for n in range(1, len(files) + 1)]
    assert sorted(indexed) == [file.name for file in files]
    for file in files:
        first, _, third = read(file).splitlines()[:3]
        number, title, status = indexed[file.name]
        assert first == f"# {number}. {title}"
        assert third == f"Status: {status}"
        assert STATUS.fullmatch(status)
        assert file.stem == f"{int(number):04}-{_slug(title)}"


@pytest.mark.parametrize("record", sorted(DECISIONS.glob("[0-9]*.md")), ids=name_of)
def test_a_decision_has_context_decision_and_consequences(record: Path) -> None:
    headings = [heading.split(":")[0] for heading in HEADING.findall(read(record))[1:]]
    assert list(dict.fromkeys(headings)) in (SECTIONS, [*SECTIONS, "Rejected"])


def _index_rows() -> list[tuple[str, str, str, str]]:
    rows = INDEX_ROW.findall(read(DECISIONS / "README.md"))
    return [(number, title, status, file) for number, title, file, status in rows]


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def test_the_changelog_has_one_line_an_item_under_four_headings() -> None:
    _, *versions = re.split(r"^## ", read(ROOT / "CHANGELOG.md"), flags=re.MULTILINE)
    assert versions[0].startswith("Unreleased\n")
    for version in versions:
        title, *lines = [line for line in version.splitlines() if line]
        assert re.fullmatch(r"Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title)
        for line in lines:
            assert line.startswith("- ") or line[4:] in (
                "Added",
                "Changed",
                "Fixed",
                "Upgrade steps",
            )


def test_words_of_the_glossary_are_those_that_users_see() -> None:
    seen = "".join(read(file) for pattern in CATALOGUES for file in ROOT.glob(pattern)).lower()
    rows = [
        line.strip("| ").split("|") for line in read(ROOT / "docs" / "glossary.md").splitlines()
    ]
    words = [
        word.strip()
        for row in rows
        if len(row) == 4
        for cell in row[2:]
        for word in cell.split(",")
    ]
    assert len(words) > 100
    assert [
        word
        for word in words
        if word not in ("Kazakh", "Russian", "---") and word.lower() not in seen
    ] == []
