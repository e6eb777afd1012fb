"""Render Asterisk's configuration from the templates in `asterisk-conf/` and `dialplan/`.

Templates fail loudly: an undefined variable, and a value that no filter has made safe for the
place where it enters, are errors, never text.
"""

import asyncio
import difflib
import fcntl
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address
from itertools import chain, combinations
from math import ceil
from pathlib import Path
from tempfile import NamedTemporaryFile

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.secrets import make_secret, read_secret
from callcenter.platform.core.settings import DATA, Settings
from callcenter.telephony.acd.rules.priority import HEAD_START
from callcenter.telephony.asterisk.config.access import PROXY, permitted_networks
from callcenter.telephony.asterisk.config.binary import (
    AsteriskBinary,
    cli_command,
    configuration,
    find_asterisk,
)
from callcenter.telephony.asterisk.config.escaping import FILTERS, only_escaped
from callcenter.telephony.asterisk.open_files import calls_at_once, files_needed

TEMPLATES = (DATA / "asterisk-conf", DATA / "dialplan")

#: The folder of the files that have consultants' telephones and nothing else. The others include
#: them: controllers write these alone, see telephony/controller/account_provisioning.py.
ACCOUNTS = "accounts"
#: Beside the accounts: the SHA-256 of those that the running Asterisk has read.
READ_SUM = "read.sha256"

#: AMI events that our user is sent.
AMI_EVENTS = (
    "DeviceStateChange",
    "FullyBooted",
    "Reload",
    "Shutdown",
    "UserEvent",
)

#: Asterisk complains at its start when these are missing, and we need nothing in them.
EMPTY = (
    "acl.conf",
    "ccss.conf",
    "features.conf",
    "queuerules.conf",
    "udptl.conf",
    "websocket_client.conf",
)

#: What makes a running Asterisk read these files again, with what they include, without disturbing
#: calls. The others are read at its start.
RELOADS = {
    "extensions.conf": ("dialplan reload",),
    "pjsip.conf": (
        "module reload res_pjsip.so",
        "module reload res_pjsip_endpoint_identifier_ip.so",
        "module reload res_pjsip_outbound_registration.so",
    ),
    "queues.conf": ("queue reload all",),
    # With those that include them.
    f"{ACCOUNTS}/pjsip.conf": (),
    f"{ACCOUNTS}/queues.conf": (),
}

SECRET = re.compile(
    r"^((?:password|secret|password_digest|capture_password) = )(.*)$", re.MULTILINE
)


@dataclass(frozen=True)
class SipAccount:
    """A consultant's SIP account.

    Raises InvalidRequest for an extension that is not 3-6 digits or a digest that is no MD5.
    """

    extension: str
    digest: str  #: MD5(extension:asterisk:password) in hexadecimal (HA1 of RFC 2617)
    webrtc: bool = False  #: a browser, not a SIP telephone

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{3,6}", self.extension):
            raise InvalidRequest(f"extension {self.extension!r}: it must be 3 to 6 digits")
        if not re.fullmatch(r"[0-9a-f]{32}", self.digest):
            raise InvalidRequest(f"the digest of {self.extension} must be 32 hexadecimal digits")


@dataclass(frozen=True)
class Secrets:
    """Passwords of Asterisk's interfaces, and of us at operators."""

    ari: str
    ami: str
    hep: str
    operators: Mapping[str, str] = field(default_factory=dict)  #: by the operator's name


@dataclass(frozen=True)
class Folders:
    """Folders of our Asterisk."""

    etc: Path
    log: Path
    cel_log: Path  #: Asterisk does not make it, and writes no CEL without it
    lib: Path
    run: Path
    spool: Path  #: Asterisk's own; what we record goes to `recordings`
    prompts: Path
    recordings: Path


def render(settings: Settings, accounts: Sequence[SipAccount]) -> dict[str, str]:
    """Render every file that Asterisk reads, by name; nothing is written.

    The same settings and accounts, in any order, give the same text. Raises InvalidRequest for a
    value that cannot stand where it would, SecretMissing before the first `apply` and without the
    password of an operator, DependencyUnavailable without an Asterisk.
    """
    folder = settings.secrets_folder
    secrets = Secrets(
        ari=read_secret(folder, "ari"),
        ami=read_secret(folder, "ami"),
        hep=read_secret(folder, "hep"),
        operators={
            name: read_secret(folder, f"operator_{name}")
            for name, operator in settings.operators.items()
            if operator.registrar is not None
        },
    )
    return compose(settings, accounts, find_asterisk(settings), secrets)


def compose(
    settings: Settings, accounts: Sequence[SipAccount], program: AsteriskBinary, secrets: Secrets
) -> dict[str, str]:
    """Render with everything given: nothing but the templates is read."""
    _validate(settings)
    values = {
        "program": program,
        "secrets": secrets,
        "payer": _payer(settings),
        "ami_events": AMI_EVENTS,
        "any_address": IPv4Address(0),
        "permitted_networks": permitted_networks(settings),
        "proxy": PROXY,
        "calls_at_once": calls_at_once(settings),
        "files_needed": files_needed(settings),
        "head_start": HEAD_START,
    }
    environment = _environment(settings)
    files = dict.fromkeys(EMPTY, "; Empty on purpose: Asterisk complains when it is missing.\n")
    for template in environment.list_templates(extensions=["j2"]):
        if not is_of_accounts(template):
            files[template.removesuffix(".j2")] = _render(environment, template, values)
    return files | compose_accounts(settings, accounts)


def compose_accounts(settings: Settings, accounts: Sequence[SipAccount]) -> dict[str, str]:
    """Render the files of consultants' telephones, which need no secret but theirs.

    Raises InvalidRequest for two accounts of one extension.
    """
    extensions = [account.extension for account in accounts]
    twice = {extension for extension in extensions if extensions.count(extension) > 1}
    if twice:
        raise InvalidRequest(f"more than one account has the extension {', '.join(sorted(twice))}")
    environment = _environment(settings)
    values = {"accounts": sorted(accounts, key=lambda account: account.extension)}
    return {
        template.removesuffix(".j2"): _render(environment, template, values)
        for template in environment.list_templates(extensions=["j2"])
        if is_of_accounts(template)
    }


def is_of_accounts(name: str) -> bool:
    """Whether a file, or its template, has telephones and nothing else."""
    return name.startswith(f"{ACCOUNTS}/")


def _environment(settings: Settings) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        finalize=only_escaped,
        autoescape=False,  # noqa: S701  (not HTML: our own filters escape, and `finalize` sees to it)
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(settings=settings, folders=_folders(settings))
    return environment


def _render(environment: Environment, template: str, values: Mapping[str, object]) -> str:
    try:
        return environment.get_template(template).render(values)
    except TemplateError as exc:
        raise OperationFailed(f"cannot render {template}: {exc}") from exc


def write(settings: Settings, files: dict[str, str]) -> list[str]:
    """Write the files that differ; return their names.

    Each is replaced as a whole, so Asterisk never reads half of one; all are for our own user
    only (0600), in folders that are made if they are missing (0700). Raises OperationFailed.
    """
    target = configuration(settings)
    try:
        for folder in (*vars(_folders(settings)).values(), accounts_folder(settings)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _write(target, files)
    except OSError as exc:
        raise OperationFailed(f"cannot write Asterisk's configuration: {exc}") from exc


def write_accounts(settings: Settings, accounts: Sequence[SipAccount]) -> None:
    """Write the files of telephones that differ: then a reload is due.

    Where nobody has rendered yet nothing is written: no Asterisk would read it. Raises
    OperationFailed. Call it within `configuration_lock`.
    """
    target = configuration(settings)
    if not (target / "pjsip.conf").exists():
        return
    try:
        _write(target, compose_accounts(settings, accounts))
    except OSError as exc:
        raise OperationFailed(f"cannot write Asterisk's accounts: {exc}") from exc


def is_reload_due(settings: Settings) -> bool:
    """Whether Asterisk has read other accounts than these, whoever wrote them. Raises OSError."""
    is_rendered = (configuration(settings) / "pjsip.conf").exists()
    return is_rendered and _read(accounts_folder(settings) / READ_SUM) != _sum_accounts(settings)


def note_reload(settings: Settings) -> None:
    """Note that Asterisk has read the accounts. Call it within `configuration_lock`.

    Raises OSError.
    """
    _replace(accounts_folder(settings) / READ_SUM, _sum_accounts(settings))


def _sum_accounts(settings: Settings) -> str:
    total = sha256()
    for name in filter(is_of_accounts, RELOADS):
        total.update((configuration(settings) / name).read_bytes())
    return total.hexdigest()


def accounts_folder(settings: Settings) -> Path:
    """The folder of the files that have consultants' telephones, and their lock."""
    return configuration(settings) / ACCOUNTS


def changes(settings: Settings, files: dict[str, str]) -> str:
    """The changes that `write` would make, as a unified diff; empty when none.

    Secrets are masked: a number stands for each, so that a changed one still shows.
    """
    numbers: dict[str, int] = {}

    def mask(found: re.Match[str]) -> str:
        return f"{found[1]}<secret {numbers.setdefault(found[2], len(numbers) + 1)}>"

    parts: list[str] = []
    for name, text in files.items():
        path = configuration(settings) / name
        before, after = (SECRET.sub(mask, each) for each in (_read(path) or "", text))
        parts += difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), str(path), str(path)
        )
    return "".join(parts)


@asynccontextmanager
async def configuration_lock(settings: Settings) -> AsyncIterator[None]:
    """Lock the configuration, from reading the consultants until Asterisk has reloaded.

    So of two processes that change consultants at once, the later writes both changes. Waits
    for the other; cancelling the wait is safe. Raises OSError.
    """
    accounts_folder(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    with (accounts_folder(settings) / "render.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.05)
        yield


def make_switch_secrets(settings: Settings) -> None:
    """Make the passwords of ARI, AMI and HEP, unless they are there. Raises OperationFailed."""
    for name in ("ari", "ami", "hep"):
        make_secret(settings.secrets_folder, name)


async def apply(settings: Settings, accounts: Sequence[SipAccount], reload: bool) -> list[str]:
    """Render and write; with `reload`, a running Asterisk takes the changes over at once.

    Calls go on undisturbed. Returns the names of the files that changed; those not in RELOADS need
    a restart of Asterisk. An Asterisk that is not running is no error: it reads the files when it
    starts. The secrets `ari`, `ami` and `hep` are made if they are missing. Call it within
    `configuration_lock`. Raises what `render` and `write` raise, and OperationFailed when a reload
    fails.
    """
    make_switch_secrets(settings)
    changed = await asyncio.to_thread(lambda: write(settings, render(settings, accounts)))
    if reload and (_folders(settings).run / "asterisk.ctl").exists():
        for command in chain.from_iterable(RELOADS.values()):
            await _cli(settings, command)
        note_reload(settings)
    return changed


async def _cli(settings: Settings, command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *cli_command(settings, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
    except TimeoutError as exc:
        raise OperationFailed(f"Asterisk did not answer {command!r} within 20 s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0 and b"Unable to connect" not in output:
        raise OperationFailed(
            f"Asterisk refused {command!r}: {output.decode(errors='replace').strip()}"
        )


def _folders(settings: Settings) -> Folders:
    base = settings.asterisk_folder.absolute()
    return Folders(
        etc=configuration(settings),
        log=base / "log",
        cel_log=base / "log" / "cel-custom",
        lib=base / "lib",
        run=base / "run",
        spool=base / "spool",
        prompts=settings.prompts.absolute(),
        recordings=settings.spool.absolute(),
    )


def _validate(settings: Settings) -> None:
    """Check what each setting alone cannot show, and Asterisk would only show by not working."""
    if settings.rtp_end - settings.rtp_start < 3:
        raise InvalidRequest("CALLCENTER_RTP_END must be at least 3 above CALLCENTER_RTP_START")
    if ceil(settings.claim_timeout * 1000) > 60_000:
        raise InvalidRequest("CALLCENTER_CLAIM_TIMEOUT must be 60 seconds or less")
    _check_networks(settings)
    socket = _folders(settings).run / "asterisk.ctl"
    if set(str(socket)) & set("*?[]{},|"):
        # Asterisk takes the path of a file of its configuration for a pattern, or a list of them.
        raise InvalidRequest(f"CALLCENTER_VAR: {socket} must contain none of * ? [ ] {{ }} , |")
    if len(os.fsencode(socket)) > 107:
        raise InvalidRequest(f"CALLCENTER_VAR is too long: {socket} must be at most 107 bytes")


def _check_networks(settings: Settings) -> None:
    """Refuse an address that is of two operators: one of them would never be known by it."""
    networks = [("CALLCENTER_OPERATOR_NETWORKS", each) for each in settings.operator_networks]
    for name, operator in settings.operators.items():
        networks += [(f"CALLCENTER_OPERATORS: {name}", each) for each in operator.networks]
    for (one, its), (other, others) in combinations(networks, 2):
        if one != other and its.overlaps(others):
            raise InvalidRequest(f"{other}: the network {others} is also of {one} ({its})")


def _payer(settings: Settings) -> str | None:
    """The operator whose account signs the calls that we make: the first where they arrive."""
    host = settings.network_uri.partition("@")[2]
    operators = settings.operators.items()
    return next((name for name, operator in operators if operator.host == host), None)


def _read(path: Path) -> str | None:
    """Read the file; None when it is missing or open to others, so that it is written anew."""
    try:
        if path.stat().st_mode & 0o077:
            return None
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _write(target: Path, files: Mapping[str, str]) -> list[str]:
    changed = [name for name, text in files.items() if _read(target / name) != text]
    if any(map(is_of_accounts, changed)):
        # From now on nobody knows what Asterisk has read, also when they are as before again: it
        # starts, or a reload whose answer is lost reads them, at any moment in between.
        (target / ACCOUNTS / READ_SUM).unlink(missing_ok=True)
    for name in changed:
        _replace(target / name, files[name])
    return changed


def _replace(path: Path, text: str) -> None:
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
