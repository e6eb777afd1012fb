"""`callcenter redis-users`: the users of the processes, for a Redis of one's own."""

import click

from callcenter.launcher.redis_rights import user_lines
from callcenter.platform.core.settings import read_settings


@click.command("redis-users")
def command() -> None:
    """Print the users as which controllers, watchdog, worker and web log in to Redis.

    For the ACL file of a Redis of your own, or its redis.conf: `callcenter up` does it for that
    which it starts. Their passwords are made in var/secrets, and are not printed. It may be
    repeated.
    """
    for line in user_lines(read_settings()):
        click.echo(line)
