"""The `callcenter` command: subcommands are in `callcenter.commands`, loaded when called."""

import importlib
import sys
from collections.abc import Iterator
from typing import NoReturn

import click

from callcenter.platform.core.errors import CallcenterError

COMMANDS = {
    "up": "start everything on this machine and keep it running",
    "controller": "answer calls: one controller of live calls",
    "watchdog": "bring callers to the fallback when no controller lives",
    "web": "serve the pages and the API",
    "portal": "serve the public pages on which applicants write",
    "worker": "do the work that is due: recordings, deadlines, reminders",
    "archiver": "archive the database's log, for a restore to any moment",
    "migrate": "bring the database to this version",
    "asterisk": "replace the private Asterisk by a newer one",
    "database-roles": "make the database roles of controllers, worker, web and portal",
    "redis-users": "print the Redis users of controllers, watchdog, worker and web",
    "render": "write Asterisk's configuration",
    "prompts": "build what callers hear",
    "consultants": "add, change and list consultants",
    "users": "add, change and list people who sign in to the pages",
    "api-clients": "add, renew, revoke and list programs that ask without a person",
    "districts": "bring the list of districts up to date from the state's classifier",
    "recordings": "verify the store of recordings, list the quarantine",
    "keys": "make the keys of recordings, portal, disclosures and orders",
    "backup": "put all that a restore needs into one encrypted archive",
    "restore": "bring a site back from a backup",
    "audit": "tell whether the audit log is as it was written",
    "check": "tell whether this copy is fit to serve",
    "demo-data": "fill an empty register with invented appeals",
    "demo": "place a real call to 111, write on the portal, and show what came of it",
}

#: Former names, for one release: units and scripts of operators have them.
ALIASES = {"line": "controller", "machines": "api-clients"}


class Commands(click.Group):
    """Loads a subcommand only when it is called, so that `--help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"callcenter.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands)
def callcenter() -> None:
    """The backend of contact center 111."""


def main() -> None:
    """Entry point: our own errors become one clear line and their exit status."""
    try:
        callcenter()
    except CallcenterError as exc:
        _tell(exc)
    except ExceptionGroup as group:  # of tasks that end together
        ours, others = group.split(CallcenterError)
        if ours is None or others is not None:
            raise
        _tell(*_leaves(ours))


def _tell(*errors: CallcenterError) -> NoReturn:
    for each in dict.fromkeys(map(str, errors)):
        click.echo(f"callcenter: {each}", err=True)
    sys.exit(max(each.exit_status for each in errors))


def _leaves(group: ExceptionGroup[CallcenterError]) -> Iterator[CallcenterError]:
    for each in group.exceptions:
        yield from _leaves(each) if isinstance(each, ExceptionGroup) else (each,)
