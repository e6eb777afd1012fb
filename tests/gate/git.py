"""What git says of a repository."""

import subprocess
from pathlib import Path


class GitError(Exception):
    """There is no git, no repository, or nothing in it like what was asked for."""


def read_git(repository: Path, *command: str) -> str:
    """What a command of git prints, whoever owns the repository. Raises GitError."""
    program = ("git", "-c", "safe.directory=*", *command)
    try:
        run = subprocess.run(program, cwd=repository, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise GitError(f"git {' '.join(command)} failed in {repository}") from exc
    return run.stdout


def short_commit(repository: Path) -> str:
    """The commit that is checked out, in eight digits; `unknown` where there is none."""
    try:
        return read_git(repository, "rev-parse", "--short=8", "HEAD").strip()
    except GitError:
        return "unknown"
