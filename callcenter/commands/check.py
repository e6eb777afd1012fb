"""`callcenter check`: readiness checks of this copy, and the comparison of calls."""

import asyncio
import os
import pwd
import resource
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import click
from cryptography.x509 import load_pem_x509_certificate
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import callcenter.bootstrap.rooms  # noqa: F401 - registers them: the rights on tables are theirs
from callcenter.backup.watch import BackupLate, describe_backups, list_proven
from callcenter.bootstrap.data_secrets import data_secrets
from callcenter.bootstrap.softphone_provisioning import sip_accounts
from callcenter.consultants import store as consultants
from callcenter.intake.drivers.portal.opening import PORTAL
from callcenter.launcher.redis_rights import has_rules
from callcenter.launcher.sandbox import can_confine
from callcenter.platform.core.errors import (
    CallcenterError,
    DependencyUnavailable,
    InvalidRequest,
    OperationFailed,
)
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import WARN_BEFORE, Calendar
from callcenter.platform.monitoring.http_status import http_status
from callcenter.platform.monitoring.metrics_server import ADDRESS, metrics_port
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import run_once_in_transaction, temporary_engine
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.platform.storage.redis import (
    find_eviction,
    find_openness,
    find_snapshots,
    open_redis,
)
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.platform.storage.secret_fingerprints import verify
from callcenter.platform.storage.table_rights import find_differences
from callcenter.portal.sealing import read_sealing_key
from callcenter.recordings.sealing import keys
from callcenter.recordings.store import daily_growth
from callcenter.telephony.asterisk.config.access import permitted_networks, unknown_hosts
from callcenter.telephony.asterisk.config.binary import find_asterisk
from callcenter.telephony.asterisk.config.private_tree import unpacked_at
from callcenter.telephony.asterisk.config.renderer import changes, is_of_accounts, render
from callcenter.telephony.asterisk.open_files import (
    calls_at_once,
    check_limit,
    files_needed,
    limit_of_asterisk,
)
from callcenter.telephony.asterisk.trunks import read_reachability, read_registrations
from callcenter.telephony.calls.journal.spool import pending_spools, quarantined_files
from callcenter.telephony.calls.prompts import Prompts
from callcenter.telephony.reconciliation import orphaned_files
from callcenter.telephony.reconciliation.jobs import CHECK_AFTER, CHECK_WINDOW, check_calls
from callcenter.telephony.reconciliation.rules import Discrepancy
from callcenter.working_calendar.store import read_calendar

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)  # before any call of ours
GIB = 1024**3  # bytes
# At 6 000 calls a day recordings take 8 to 13 GiB (2 GiB in 3.6 to 5.8 hours).
ENOUGH, ONE_DAY = 2 * GIB, 14 * GIB
ROOM_WARNING = 14  #: days
CERTIFICATE_WARNING = timedelta(days=30)
#: Of the private Asterisk, which apt does not update: as PCI DSS (6.3.3) gives for grave holes.
RENEW_AFTER = timedelta(days=30)
REDIS_REMEDY = "put what `callcenter redis-users` prints into the ACL of Redis"
NAMED = 5  #: names of a list; the others are counted


Look = Callable[[Settings], str]


class Caution(CallcenterError):
    """A fault that the operator has to see to, though this copy serves now."""


@click.group("check", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Check whether this copy is fit to serve. Exit status 1 when something must be done.

    `warn` is what serves now, and is to be seen to.
    """
    if context.invoked_subcommand is not None:
        return
    settings = read_settings()
    bad, count = 0, 0
    first: dict[str, str] = {}
    for subject, looks in CHECKS.items():
        click.echo(subject)
        for name, look in looks.items():
            state, words = examine(look, settings)
            same = first.setdefault(words, name)  # the database may be missing for many
            click.echo(f"  {state:<5} {name:<10} {words if same == name else f'as {same}'}")
            bad, count = bad + (state == "BAD"), count + 1
    if bad:
        raise OperationFailed(f"{bad} of {count} checks failed")


def examine(look: Look, settings: Settings) -> tuple[str, str]:
    """The state that a look finds, `ok`, `warn` or `BAD`, and its words."""
    try:
        return "ok", look(settings)
    except Caution as exc:
        return "warn", str(exc)
    except CallcenterError as exc:
        return "BAD", str(exc)


@command.command("calls")
@click.option("--from", "since", type=MOMENT, help="Begun from then on; two days if not said.")
@click.option("--to", "until", type=MOMENT, help="Begun before; ten minutes ago at the latest.")
@click.option("--mend", "mending", is_flag=True, help="Put right what can be.")
def calls(since: datetime | None, until: datetime | None, mending: bool) -> None:
    """Compare the register with Asterisk's event log (CEL) and the recorded files.

    Times are those of Asia/Almaty. Exit status 1 when differences are left.
    """
    settings = read_settings()
    latest = datetime.now(UTC) - CHECK_AFTER
    until = min(until.replace(tzinfo=ZONE), latest) if until else latest
    since = max(since.replace(tzinfo=ZONE), EARLIEST) if since else until - CHECK_WINDOW
    if since >= until:
        raise InvalidRequest("there is no time between --from and --to")
    found, mended = asyncio.run(_compare(settings, since, until, repair=mending))
    for each in found:
        word = "mended" if each in mended else "DIFFERS"
        click.echo(f"{word:<7} {each.kind:<30} {each.subject}  {each.why}")
    left = len(found) - len(mended)
    if left:
        raise OperationFailed(f"{left} differences: see docs/operations/failures.md")
    click.echo(f"no differences left from {_local(since)} to {_local(until)}")


async def _compare(
    settings: Settings, since: datetime, until: datetime, *, repair: bool
) -> tuple[list[Discrepancy], list[Discrepancy]]:
    async with temporary_engine(settings) as engine:
        return await check_calls(
            WorkerResources(settings, engine), since=since, until=until, repair=repair
        )


def _local(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}"


def _disk(settings: Settings) -> str:
    folder = _existing(settings.spool if settings.recordings_url else settings.recordings)
    growth = None if settings.recordings_url else _growth(settings)  # that is on no disk of ours
    return look_at_room(folder, growth)


def _growth(settings: Settings) -> float | None:
    """The bytes a day of last week's recordings; None when the database says nothing of them."""
    now = datetime.now(UTC)
    with suppress(DependencyUnavailable):  # the database has a line of its own
        return asyncio.run(run_once_in_transaction(settings, lambda c: daily_growth(c, now)))
    return None


def look_at_room(folder: Path, growth: float | None) -> str:
    """The room for recordings in words, and for how many days at this growth (bytes a day).

    Raises Caution when it is for less than 14 of them, or, without a growth, than for a full day of
    6 000 calls; OperationFailed below 2 GiB.
    """
    free = shutil.disk_usage(folder).free
    words = f"{free / GIB:.1f} GiB free for recordings in {folder}"
    if free < ENOUGH:
        raise OperationFailed(f"{words}: make room")
    if growth is None:
        if free < ONE_DAY:
            raise Caution(f"{words}: a day of 6 000 calls takes up to 13")
        return words
    days = free / growth
    span = f"{days:.0f} days" if days < 365 else "over a year"
    words = f"{words}, for {span} as last week"
    if days < ROOM_WARNING:
        raise Caution(f"{words}: make room")
    return words


def _stores(settings: Settings) -> str:
    Objects(settings.store).reach()
    if settings.copy_store is None:
        raise Caution("there; recordings have no second store: set CALLCENTER_RECORDINGS_COPY")
    Objects(settings.copy_store).reach()
    return "both are there"


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _asterisk(settings: Settings) -> str:
    program = find_asterisk(settings)
    words = f"{'.'.join(map(str, program.version))}, {program.modules}"
    if not program.modules.is_relative_to(settings.asterisk_tree):
        return words
    return f"{words}, {look_at_tree(unpacked_at(settings.asterisk_tree), datetime.now(UTC))}"


def look_at_tree(unpacked: datetime, now: datetime) -> str:
    """The age of the private Asterisk in words. Raises Caution when it is too old."""
    age = now - unpacked
    words = f"renewed {max(age.days, 0)} days ago"
    if age > RENEW_AFTER:
        raise Caution(
            f"{words}: no security update has reached it or its libraries since; run "
            "`scripts/setup --renew` (docs/operations/running.md, Which Asterisk)"
        )
    return words


def _open_files(settings: Settings) -> str:
    """Open files of the Asterisk that runs, or else of one that this shell would start."""
    limit = limit_of_asterisk(settings)
    if limit is None:
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    check_limit(settings, limit)
    return f"{limit} may be open, {files_needed(settings)} are at {calls_at_once(settings)} calls"


def _trunks(settings: Settings) -> str:
    registrations = asyncio.run(read_registrations(settings))
    missing = [name for name, is_registered in registrations.items() if not is_registered]
    if missing:
        raise OperationFailed(
            f"not registered with {', '.join(missing)}, so nobody reaches the line from there: "
            "Asterisk's messages.log says why"
        )
    reachability = asyncio.run(read_reachability(settings))
    silent = [name for name, is_reachable in reachability.items() if not is_reachable]
    if silent:
        raise OperationFailed(
            f"{', '.join(silent)} does not answer OPTIONS: calls from there may not reach the line"
        )
    networks = [*settings.operator_networks]
    networks += [network for each in settings.operators.values() for network in each.networks]
    return f"{len(networks)} networks of operators, registered with {len(registrations)}"


def _access(settings: Settings) -> str:
    if hosts := unknown_hosts(settings):
        raise Caution(
            f"SIP is heard from everywhere, for the networks of {_first(hosts)} are not known: "
            "name them in CALLCENTER_SIP_NETWORKS"
        )
    return f"SIP is heard from {len(permitted_networks(settings))} networks"


def _certificate(settings: Settings) -> str:
    if settings.sip_certificate is None or settings.sip_key is None:
        if settings.sip_address.is_loopback:
            return "there is none: only this machine reaches SIP"
        raise Caution(
            "there is none, so softphones speak in clear: set CALLCENTER_SIP_CERTIFICATE and "
            "CALLCENTER_SIP_KEY (docs/operations/running.md, Softphones)"
        )
    return look_at_certificate(settings.sip_certificate, settings.sip_key, datetime.now(UTC))


def look_at_certificate(certificate: Path, key: Path, now: datetime) -> str:
    """The end of the certificate of SIP in words.

    Raises Caution 30 days before it; OperationFailed after it, or when they do not fit together.
    """
    try:
        SSLContext(PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        ends_at = load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as exc:
        raise OperationFailed(f"cannot use {certificate} with {key}: {exc}") from exc
    if ends_at < now:
        raise OperationFailed(f"{certificate} ended on {ends_at:%Y-%m-%d}: renew it")
    if ends_at - now < CERTIFICATE_WARNING:
        raise Caution(f"{certificate} ends on {ends_at:%Y-%m-%d}: renew it")
    return f"softphones speak encrypted, until {ends_at:%Y-%m-%d}"


def _prompts(settings: Settings) -> str:
    synthetic = Prompts.load(settings).synthetic()
    if not synthetic:
        return "all spoken by people"
    counts = Counter(name.partition("/")[0] for name in synthetic)
    languages = ", ".join(f"{count} {language}" for language, count in counts.items())
    raise Caution(
        f"{languages} are spoken by a machine: `callcenter prompts list --synthetic` lists them"
    )


def _database(settings: Settings) -> str:
    version = asyncio.run(run_once_in_transaction(settings, _migrated_to))
    return f"migrated to {version}"


async def _migrated_to(connection: AsyncConnection) -> str:
    return str((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar())


def _roles(settings: Settings) -> str:
    if absent := [role for role in DatabaseRole if in_role(settings, role) is settings]:
        raise Caution(
            f"{', '.join(absent)} cannot log in, and the owner does instead, but for the portal: "
            "`callcenter database-roles`, then `callcenter migrate`; see docs/operations/running.md"
        )
    for role in DatabaseRole:
        asyncio.run(run_once_in_transaction(in_role(settings, role), _ping_database))
    excess, missing = asyncio.run(
        run_once_in_transaction(settings, lambda each: each.run_sync(find_differences))
    )
    if excess or missing:
        raise OperationFailed(
            f"{len(missing)} rights are missing and {len(excess)} too many: `callcenter migrate`"
        )
    return "each process logs in as its own role"


async def _ping_database(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT 1"))


def _redis(settings: Settings) -> str:
    return asyncio.run(_ping(settings))


def _users(settings: Settings) -> str:
    if any(as_redis_user(settings, user) is settings for user in RedisUser):
        raise Caution(f"all processes are one user: {REDIS_REMEDY}; see docs/operations/running.md")
    stale = [user for user in RedisUser if not asyncio.run(_has_its_rules(settings, user))]
    if stale:
        raise OperationFailed(f"the rules of {', '.join(stale)} are others: {REDIS_REMEDY}")
    return "each process logs in as its own user"


async def _has_its_rules(settings: Settings, user: RedisUser) -> bool:
    """Whether it can log in, and may do what it needs and no more."""
    ours = as_redis_user(settings, user)
    try:
        async with asyncio.timeout(3), open_redis(ours) as process, open_redis(settings) as redis:
            await process.ping()
            found = await redis.acl_getuser(user)
    except (RedisError, OSError, TimeoutError) as exc:
        raise OperationFailed(f"{user} cannot log in ({exc}): {REDIS_REMEDY}") from exc
    return has_rules(user, found)


async def _ping(settings: Settings) -> str:
    try:
        async with asyncio.timeout(3), open_redis(settings) as redis:
            waiting, free = await redis.zcard("desk:waiting"), await redis.zcard("desk:idle")
            eviction, snapshots = await find_eviction(redis), await find_snapshots(redis)
            openness = await find_openness(settings)
    except Exception as exc:
        raise OperationFailed(
            f"no answer ({exc}): start it or correct CALLCENTER_REDIS_URL"
        ) from exc
    if eviction:
        raise OperationFailed(eviction)
    for fault in (openness, snapshots):
        if fault:
            raise Caution(fault)
    return f"{waiting} waiting, {free} consultants free"


def _configuration(settings: Settings) -> str:
    files = render(settings, asyncio.run(sip_accounts(settings)))
    of_accounts = {name for name in files if is_of_accounts(name)}
    if changes(settings, {name: files[name] for name in files.keys() - of_accounts}):
        raise OperationFailed(
            "Asterisk's files are behind: see `callcenter render --check`, then render"
        )
    if changes(settings, {name: files[name] for name in of_accounts}):
        raise Caution(
            "telephones came or went that Asterisk does not have yet: controllers write them "
            "within a minute; if this stays, their log says why"
        )
    return "Asterisk's files are as the settings and the roster say"


def _roster(settings: Settings) -> str:
    crew = asyncio.run(run_once_in_transaction(settings, consultants.active))
    missing = {"kk", "ru"} - {language for each in crew for language in each.languages}
    if missing:
        names = ", ".join(sorted(missing))
        raise OperationFailed(f"no active consultant speaks {names}: `callcenter consultants add`")
    return f"{len(crew)} active consultants"


def _spool(settings: Settings) -> str:
    now = datetime.now(UTC)
    found = asyncio.run(
        run_once_in_transaction(settings, lambda c: orphaned_files.find(c, settings.spool, now))
    )
    if found:
        names = _first([each.name for each in found])
        raise OperationFailed(
            f"{len(found)} recorded files in {settings.spool} belong to no call that is known: "
            f"{names}; keep them, and see docs/operations/failures.md"
        )
    return "every recorded file belongs to a call"


def _journal(settings: Settings) -> str:
    quarantined = quarantined_files(settings.journals)
    if quarantined:
        raise OperationFailed(
            f"{len(quarantined)} files in {quarantined[0].parent} hold what no database "
            "took: keep them, and see docs/operations/failures.md"
        )
    files = pending_spools(settings.journals)
    if files:
        size = sum(path.stat().st_size for path in files)
        raise OperationFailed(f"{size / 1024:.0f} KiB wait for the database in {settings.journals}")
    return "nothing waits for the database"


def _backup(settings: Settings) -> str:
    if settings.backup_store is None:
        raise Caution(
            "there is no place for it: set CALLCENTER_BACKUPS (docs/operations/backup.md)"
        )
    proven = asyncio.run(run_once_in_transaction(settings, list_proven))
    try:
        return describe_backups(settings, proven, datetime.now(UTC))
    except BackupLate as late:
        raise Caution(str(late)) from late


def _calendar(settings: Settings) -> str:
    calendar = asyncio.run(run_once_in_transaction(settings, read_calendar))
    return look_at_calendar(calendar, datetime.now(ZONE).date())


def look_at_calendar(calendar: Calendar, today: date) -> str:
    """The end of the working calendar in words.

    Raises Caution 120 days before it, OperationFailed after it.
    """
    ends_on = calendar.entered_until(today)
    if ends_on - today > WARN_BEFORE:
        return f"entered until {ends_on}"
    year = ends_on.year + 1
    remedy = f"enter {year} on the page /calendar"
    if ends_on < today:
        raise OperationFailed(f"{year} is not entered, and nothing is registered: {remedy}")
    raise Caution(f"ends on {ends_on}, and terms reach over it: {remedy}")


def _keys(settings: Settings) -> str:
    files = [*(settings.keys / "recordings").glob("*.key")]
    if not files:
        return "none is to be seen by the user of this command"
    readable = may_read_keys(settings)
    if readable:
        confines = "keeps" if can_confine() else "cannot, on this machine, keep"
        return (
            f"{len(files)}; the user of the controllers can read {len(readable)} of them: "
            f"`callcenter up` {confines} its controllers from it (Landlock), under systemd give "
            "controllers a user of their own (docs/operations/running.md)"
        )
    return f"{len(files)}, which the user of the controllers cannot read"


def _numbers(settings: Settings) -> str:
    if settings.trace_legal_basis is None:
        return "withheld ones are not kept: no legal basis is named"
    try:
        opened_by = keys.read(settings.keys).identities
    except keys.NoKey:
        return "the user of this command cannot tell whether withheld ones can be opened"
    if settings.trace_key not in {str(each.to_public()) for each in opened_by}:
        raise InvalidRequest(
            "withheld ones are sealed to a key that is not here, and nobody could open one: "
            "CALLCENTER_TRACE_KEY is that in the newest file of the keys of recordings"
        )
    return f"withheld ones are kept, sealed, for {settings.trace_hours} h"


def _portal_key(settings: Settings) -> str:
    try:
        newest = keys.read(settings.keys, purpose=PORTAL).public
    except keys.NoKey:
        return "the user of this command cannot tell whether what it seals can be opened"
    if (sealed_to := read_sealing_key(settings)) != newest:
        raise InvalidRequest(
            f"it seals to {sealed_to}, and the newest key is {newest}: run `callcenter keys "
            "portal`, or set CALLCENTER_PORTAL_KEY to that, before what people write is lost"
        )
    return "it seals to the newest key"


def _portal_address(settings: Settings) -> str:
    if settings.portal_url is None:
        raise Caution("only this machine is served: set CALLCENTER_PORTAL_URL, where it leads to")
    if not settings.portal_url.startswith("https:"):
        raise Caution(f"{settings.portal_url} is no address of https: what is written can be read")
    if settings.public_url is None:
        raise Caution(
            "nobody can tell whether it shares its host name with staff: set CALLCENTER_PUBLIC_URL"
        )
    return settings.portal_url


def _portal_pages(settings: Settings) -> str:
    address = str(settings.portal_address)
    status = asyncio.run(http_status(address, settings.portal_port, "/", settings.portal_host))
    if status is None:
        raise Caution(f"none is at {address}:{settings.portal_port}: it is elsewhere, or stopped")
    if status != HTTPStatus.OK:
        raise OperationFailed(f"they answer {status}: see the log of the portal")
    port = metrics_port(settings, "portal")
    if port is None:
        return "they answer, and say nowhere whether what is written can be stored"
    ready = asyncio.run(http_status(ADDRESS, port, "/ready"))
    if ready is None:
        raise OperationFailed(f"they answer, and nobody says at port {port} what can be stored")
    if ready != HTTPStatus.OK:
        raise OperationFailed("they answer, and nothing can be stored: see the log of the portal")
    return "they answer, and what is written can be stored"


def _portal_sessions(settings: Settings) -> str:
    if not asyncio.run(run_once_in_transaction(settings, _may_end_sessions)):
        raise Caution(
            "who takes the portal over holds all others up, and the worker may not end its "
            'sessions: docs/operations/running.md, "Database roles", says what to grant'
        )
    return "the worker ends those that hold all others up"


async def _may_end_sessions(connection: AsyncConnection) -> bool:
    """Whether the function by which the worker ends them has the right, which its owner has."""
    both = (
        "SELECT pg_has_role(proowner, 'pg_signal_backend', 'USAGE')"
        " AND pg_has_role(proowner, 'pg_read_all_stats', 'USAGE')"
        " FROM pg_proc WHERE proname = 'portal_end_sessions'"
    )
    return bool(await connection.scalar(text(both)))


def _secrets(settings: Settings) -> str:
    secrets = data_secrets(settings).values()

    async def find_unknown(connection: AsyncConnection) -> list[str]:
        return [each.name for each in secrets if not await verify(connection, each)]

    unknown = asyncio.run(run_once_in_transaction(settings, find_unknown))
    words = f"{len(secrets) - len(unknown)} are those that the database was written with"
    return f"{words}; not used yet: {', '.join(unknown)}" if unknown else words


def may_read_keys(settings: Settings) -> list[Path]:
    """The key files that controllers can read: they run as the owner of the journals.

    A key is open to nobody but its owner, root, and the group with which its folder is shared.
    """
    folder = settings.journals if settings.journals.exists() else settings.var
    user = folder.stat().st_uid
    groups = _groups_of(user)
    files = settings.keys.glob("*/*.key")
    return [
        file
        for file in files
        if user in (0, (about := file.stat()).st_uid)
        or (about.st_gid in groups and about.st_mode & stat.S_IRGRP)
    ]


def _groups_of(user: int) -> set[int]:
    """The groups of a user of this machine; none of a user who has no name."""
    try:
        account = pwd.getpwuid(user)
    except KeyError:
        return set()
    return {*os.getgrouplist(account.pw_name, account.pw_gid)}


#: By subject, in the order in which they are listed.
CHECKS: dict[str, dict[str, Look]] = {
    "servers": {"database": _database, "roles": _roles, "redis": _redis, "users": _users},
    "telephone": {
        "asterisk": _asterisk,
        "rendered": _configuration,
        "files": _open_files,
        "trunks": _trunks,
        "access": _access,
        "tls": _certificate,
        "prompts": _prompts,
        "roster": _roster,
    },
    "portal": {
        "key": _portal_key,
        "address": _portal_address,
        "pages": _portal_pages,
        "sessions": _portal_sessions,
    },
    "recordings": {"disk": _disk, "store": _stores, "spool": _spool},
    "register": {"journal": _journal, "calendar": _calendar, "backup": _backup},
    "security": {"keys": _keys, "numbers": _numbers, "secrets": _secrets},
}
