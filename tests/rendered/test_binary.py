"""The choice of an Asterisk: the installed one is a script here, the tree's is real."""

from pathlib import Path

import pytest

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import (
    MINIMUM_VERSION,
    asterisk_command,
    cli_command,
    find_asterisk,
)


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


def test_an_old_asterisk_of_the_machine_gives_way(own: Path, settings: Settings) -> None:
    says(own, "Asterisk 18.10.0")
    program = find_asterisk(settings)
    assert program.version >= MINIMUM_VERSION
    assert program.command[-1] == str(settings.asterisk_tree / "usr" / "sbin" / "asterisk")
    assert (program.modules / "app_stasis_broadcast.so").exists()
    assert (program.data / "documentation" / "core-en_US.xml").exists()


def test_an_asterisk_that_drops_late_rtp_gives_way(own: Path, settings: Settings) -> None:
    says(own, "Asterisk 22.10.1~dfsg")
    with own.open("ab") as file:
        file.write(b"exit\n" + bytes.fromhex("8b978800000081faffff000077"))
    tree = str(settings.asterisk_tree / "usr" / "sbin" / "asterisk")
    assert find_asterisk(settings).command[-1] == tree
    with pytest.raises(DependencyUnavailable, match="bin/asterisk drops voice that looks late"):
        find_asterisk(without_tree(settings, own.parent))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Asterisk 22.6.9~dfsg", "is 22.6.9"),
        ("Asterisk 22.10.1~dfsg", "modules of .* are not found"),
        ("GIT-master", "does not tell its version"),
    ],
)
def test_each_fault_is_named_with_its_remedy(
    text: str, fault: str, own: Path, settings: Settings, tmp_path: Path
) -> None:
    says(own, text)
    if fault.startswith("modules") and list(Path("/usr").glob("lib*/**/asterisk/modules")):
        pytest.skip("this machine has modules of its own Asterisk")
    with pytest.raises(
        DependencyUnavailable, match=f"{fault}.*there is none in .*Run scripts/setup"
    ):
        find_asterisk(without_tree(settings, tmp_path))


def test_one_that_does_not_run_is_said(own: Path, settings: Settings, tmp_path: Path) -> None:
    own.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    own.chmod(0o755)
    with pytest.raises(DependencyUnavailable, match="does not run"):
        find_asterisk(without_tree(settings, tmp_path))


def test_the_commands_name_our_configuration(own: Path, settings: Settings) -> None:
    says(own, "Asterisk 18.10.0")
    conf = str(settings.asterisk_folder / "etc" / "asterisk.conf")
    assert asterisk_command(settings)[-3:] == ["-C", conf, "-f"]
    assert cli_command(settings, "core stop now")[-4:] == ["-C", conf, "-rx", "core stop now"]
