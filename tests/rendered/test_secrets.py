"""Secrets: made once, for our own user only."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.secrets import SecretMissing, make_secret, read_secret


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CALLCENTER_SECRET_ARI", raising=False)
    return tmp_path / "var" / "secrets"


def test_a_secret_is_made_once_for_our_own_user_only(folder: Path) -> None:
    for name in ("ari", "ami"):
        make_secret(folder, name)
    secret = read_secret(folder, "ari")
    assert len(secret) >= 43
    make_secret(folder, "ari")
    assert read_secret(folder, "ari") == secret
    assert read_secret(folder, "ami") != secret
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "ari").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["ami", "ari"]


def test_processes_that_start_at_once_agree_on_one_secret(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from callcenter.platform.core.secrets import make_secret, read_secret;"
        "sys.stdin.read(); where = Path(sys.argv[1]), 'ari';"
        "make_secret(*where); print(read_secret(*where))"
    )
    command = [sys.executable, "-c", program, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(6)]  # type: ignore[call-overload]
    for process in processes:
        process.stdin.close()
    answers = {process.stdout.read() for process in processes}
    for process in processes:
        process.stdout.close()
        assert process.wait(20) == 0
    assert answers == {read_secret(folder, "ari") + "\n"}


def test_the_environment_wins_and_makes_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_SECRET_ARI", "given")
    make_secret(folder, "ari")
    assert read_secret(folder, "ari") == "given"
    assert not folder.exists()


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "bell\a"])
def test_what_is_no_secret_is_refused(
    value: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    (folder / "ari").touch(mode=0o600)
    (folder / "ari").write_text(value, encoding="utf-8")
    with pytest.raises(InvalidRequest, match="must hold a secret"):
        read_secret(folder, "ari")
    monkeypatch.setenv("CALLCENTER_SECRET_ARI", value)
    with pytest.raises(InvalidRequest, match="CALLCENTER_SECRET_ARI must hold a secret"):
        read_secret(folder, "ari")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_open_to_others_is_refused_with_remedy(mode: int, folder: Path) -> None:
    make_secret(folder, "ari")
    (folder / "ari").chmod(mode)
    with pytest.raises(InvalidRequest, match="chmod 600"):
        read_secret(folder, "ari")


@pytest.mark.parametrize("name", ["", "../ari", "Ari", "a/b", "a\n"])
def test_a_name_is_one_plain_word(name: str, folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="name of a secret"):
        read_secret(folder, name)
    with pytest.raises(InvalidRequest, match="name of a secret"):
        make_secret(folder, name)


def test_a_missing_secret_is_not_made_by_its_reader(folder: Path) -> None:
    with pytest.raises(SecretMissing, match="CALLCENTER_SECRET_ARI"):
        read_secret(folder, "ari")
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_said(folder: Path) -> None:
    folder.parent.write_text("a file in the way", encoding="utf-8")
    with pytest.raises(OperationFailed, match="cannot read the secret"):
        read_secret(folder, "ari")
    with pytest.raises(OperationFailed, match="cannot write the secret"):
        make_secret(folder, "ari")
