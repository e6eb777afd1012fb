"""`callcenter migrate`: bring the database to this version, or say what that takes."""

import click

from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.migrate import migrate
from callcenter.platform.storage.migration_plan import MigrationPlan, PlannedStatement, read_plan

SHOWN = 70  #: characters of a statement


@click.command("migrate")
@click.option("--plan", "is_plan", is_flag=True, help="Say what it would do, and change nothing.")
def command(is_plan: bool) -> None:
    """Bring the database to this version. Does nothing when it is there already.

    Calls go on meanwhile. With `--plan` each pending migration is listed, with what it works on,
    about how long that takes, and what waits.
    """
    settings = read_settings()
    if is_plan:
        for line in describe(read_plan(settings)):
            click.echo(line)
        return
    migrate(settings)
    click.echo("the database is at this version")


def describe(plan: MigrationPlan) -> list[str]:
    """The plan in lines for a person."""
    if not plan.pending:
        return ["the database is at this version: nothing is pending"]
    lines: list[str] = []
    for migration in plan.pending:
        lines.append(f"{migration.revision}  {migration.title}")
        lines += [f"      {_describe(plan, each)}" for each in migration.statements]
    every = [each for migration in plan.pending for each in migration.statements]
    seconds = sum(plan.seconds(each) for each in every)
    waiting = max((plan.seconds(each) for each in every if each.waiting), default=0.0)
    lines.append(f"{len(plan.pending)} migrations, {_duration(seconds)} of work")
    lines.append(
        f"whoever writes what is named waits {_duration(waiting)} at most; calls go on, their "
        "events wait in the journals"
        if waiting
        else "nobody waits longer than a moment"
    )
    return lines


def _describe(plan: MigrationPlan, statement: PlannedStatement) -> str:
    shown = statement.text if len(statement.text) <= SHOWN else f"{statement.text[:SHOWN]}..."
    waits = f"writing {', '.join(sorted(statement.waiting))} waits" if statement.waiting else ""
    rows, table = plan.largest(statement)
    return "  ".join(
        (
            f"{rows:,} rows of {table}".replace(",", " "),
            _duration(plan.seconds(statement)),
            waits or "nobody waits",
            f"({shown})",
        )
    )


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"
