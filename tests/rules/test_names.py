"""Names: a search for a class finds one, and the name of a test can be read at a glance."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import callcenter

CHECK = Path(callcenter.__file__).parents[1] / "scripts" / "check_words.py"
PACKAGE = Path(callcenter.__file__).parent


def test_no_class_name_stands_twice() -> None:
    """A model of the API may have the name of the class that it shows, or of another model."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for file in PACKAGE.rglob("*.py"):
        if file.stem == "api" or file.stem.endswith("_api") or "node_modules" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(file.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_names_of_tests_have_ten_words_at_most() -> None:
    names = {
        node.name
        for file in (PACKAGE.parent / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }
    assert len(names) > 1000
    assert {name for name in names if len(name.split("_")) > 11} == set()


def test_the_word_check_reads_identifiers_paths_and_selectors(tmp_path: Path) -> None:
    """Whatever a name stands in: one found in each file, none in texts and comments."""
    for name, source in {
        "code.py": 'is_kept = "told"  # asked\n',
        "page.html": '<p id="f-{{ number }}-told" class="fine">told {{ "kept" }}</p>\n',
        "linked.html": '{# kept #}<a href="#told">told</a>\n',
        "data.html": "<p data-kept hidden>kept</p>\n",
        "style.css": "/* .told */\na, .kept:hover { color: red }\n",
        "script.js": 'say("told"); document.querySelector(".kept"); // told\n',
        "deeds.txt": "",
    }.items():
        (tmp_path / name).write_text(source)
    command = (sys.executable, CHECK, tmp_path)
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    *found, _ = checked.stdout.splitlines()
    assert checked.returncode == 1
    assert sorted(Path(line.split(":")[0]).name for line in found) == [
        *("code.py", "data.html", "deeds.txt", "linked.html", "page.html", "script.js", "style.css")
    ]
