"""Which Asterisk is taken. The machine's own is a script here; the tree's is the real one."""

from pathlib import Path

import pytest

from callcenter.asterisk.program import OLDEST, asterisk_command, cli_command, find_asterisk
from callcenter.errors import NotReady
from callcenter.settings import Settings


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that stands first on the path of this test."""
    program = tmp_path / "bin" / "asterisk"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def says(program: Path, text: str) -> None:
    program.write_text(f"#!/bin/sh\necho '{text}'\n", encoding="utf-8")
    program.chmod(0o755)


def without_tree(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"asterisk_tree": tmp_path / "no-tree"})


def test_an_old_one_of_the_machine_gives_way_to_the_tree(own: Path, settings: Settings) -> None:
    says(own, "Asterisk 18.10.0")
    program = find_asterisk(settings)
    assert program.version >= OLDEST
    assert program.command[-1] == str(settings.asterisk_tree / "usr" / "sbin" / "asterisk")
    assert (program.modules / "app_stasis_broadcast.so").exists()
    assert (program.data / "documentation" / "core-en_US.xml").exists()


def test_one_that_drops_what_looks_late_gives_way_to_the_tree(
    own: Path, settings: Settings
) -> None:
    says(own, "Asterisk 22.10.1~dfsg")
    with own.open("ab") as file:
        file.write(b"exit\n" + bytes.fromhex("8b978800000081faffff000077"))
    tree = str(settings.asterisk_tree / "usr" / "sbin" / "asterisk")
    assert find_asterisk(settings).command[-1] == tree
    with pytest.raises(NotReady, match="bin/asterisk drops voice that looks late"):
        find_asterisk(without_tree(settings, own.parent))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Asterisk 22.6.9~dfsg", "is 22.6.9"),
        ("Asterisk 22.10.1~dfsg", "modules of .* are not found"),
        ("GIT-master", "does not tell its version"),
    ],
)
def test_what_is_wrong_with_each_is_said_with_what_to_do(
    text: str, fault: str, own: Path, settings: Settings, tmp_path: Path
) -> None:
    says(own, text)
    if fault.startswith("modules") and list(Path("/usr").glob("lib*/**/asterisk/modules")):
        pytest.skip("this machine has modules of its own Asterisk")
    with pytest.raises(NotReady, match=f"{fault}.*there is none in .*Run scripts/setup"):
        find_asterisk(without_tree(settings, tmp_path))


def test_one_that_does_not_run_is_said(own: Path, settings: Settings, tmp_path: Path) -> None:
    own.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    own.chmod(0o755)
    with pytest.raises(NotReady, match="does not run"):
        find_asterisk(without_tree(settings, tmp_path))


def test_the_commands_name_our_configuration(own: Path, settings: Settings) -> None:
    says(own, "Asterisk 18.10.0")
    conf = str(settings.asterisk_folder / "etc" / "asterisk.conf")
    assert asterisk_command(settings)[-3:] == ["-C", conf, "-f"]
    assert cli_command(settings, "core stop now")[-4:] == ["-C", conf, "-rx", "core stop now"]
