"""Asterisk's configuration, written from the templates in `asterisk-conf/` and `dialplan/`.

Templates fail loudly: an undefined variable, and a value that no filter has made safe for the
place where it enters, are errors, never text.
"""

import asyncio
import difflib
import fcntl
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import chain
from math import ceil
from pathlib import Path
from tempfile import NamedTemporaryFile

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from callcenter.asterisk.program import Program, cli_command, configuration, find_asterisk
from callcenter.asterisk.syntax import FILTERS, only_escaped
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.secrets import read_secret
from callcenter.settings import ROOT, Settings

TEMPLATES = (ROOT / "asterisk-conf", ROOT / "dialplan")

#: The events of AMI that reach us.
AMI_EVENTS = (
    "DeviceStateChange",
    "FullyBooted",
    "Reload",
    "Shutdown",
)

#: Asterisk complains at its start when these are missing, and we need nothing in them.
EMPTY = (
    "acl.conf",
    "ccss.conf",
    "features.conf",
    "pjproject.conf",
    "queuerules.conf",
    "udptl.conf",
    "websocket_client.conf",
)

#: What makes a running Asterisk read these files again, without disturbing calls. The others are
#: read at its start.
RELOADS = {
    "extensions.conf": ("dialplan reload",),
    "pjsip.conf": (
        "module reload res_pjsip.so",
        "module reload res_pjsip_endpoint_identifier_ip.so",
    ),
    "queues.conf": ("queue reload all",),
}

SECRET = re.compile(r"^((?:password|secret|password_digest) = )(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class SipAccount:
    """A consultant as Asterisk knows one.

    Raises AskedWrongly for an extension that is not 3-6 digits or a digest that is no MD5.
    """

    extension: str
    digest: str  #: MD5(extension:asterisk:password) in hexadecimal (HA1 of RFC 2617)
    webrtc: bool = False  #: a browser, not a SIP telephone

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{3,6}", self.extension):
            raise AskedWrongly(f"extension {self.extension!r}: it must be 3 to 6 digits")
        if not re.fullmatch(r"[0-9a-f]{32}", self.digest):
            raise AskedWrongly(f"the digest of {self.extension} must be 32 hexadecimal digits")


@dataclass(frozen=True)
class Secrets:
    """Passwords of the user `callcenter` of Asterisk's interfaces."""

    ari: str
    ami: str


@dataclass(frozen=True)
class Folders:
    """Where our Asterisk keeps what is its own."""

    etc: Path
    log: Path
    ledger: Path  #: Asterisk does not make this one, and without it writes no CEL
    lib: Path
    run: Path
    spool: Path  #: Asterisk's own; what we record goes to `recordings`
    prompts: Path
    recordings: Path


def render(settings: Settings, accounts: Sequence[SipAccount]) -> dict[str, str]:
    """The text of every file that Asterisk reads, by its name; nothing is written.

    The same settings and accounts, in any order, give the same text. The secrets `ari` and `ami`
    are made if they are missing. Raises AskedWrongly for a value that cannot stand where it
    would, NotReady without an Asterisk.
    """
    folder = settings.secrets_folder
    secrets = Secrets(ari=read_secret(folder, "ari"), ami=read_secret(folder, "ami"))
    return compose(settings, accounts, find_asterisk(settings), secrets)


def compose(
    settings: Settings, accounts: Sequence[SipAccount], program: Program, secrets: Secrets
) -> dict[str, str]:
    """What `render` does, with everything given: it reads nothing but the templates."""
    _refuse_doubtful(settings, accounts)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        finalize=only_escaped,
        autoescape=False,  # noqa: S701  (not HTML: our own filters escape, and `finalize` sees to it)
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    values = {
        "settings": settings,
        "folders": _folders(settings),
        "accounts": sorted(accounts, key=lambda account: account.extension),
        "program": program,
        "secrets": secrets,
        "ami_events": AMI_EVENTS,
        "any_address": IPv4Address(0),
    }
    files = dict.fromkeys(EMPTY, "; Empty on purpose: Asterisk complains when it is missing.\n")
    for template in environment.list_templates(extensions=["j2"]):
        try:
            files[template.removesuffix(".j2")] = environment.get_template(template).render(values)
        except TemplateError as exc:
            raise WeFailed(f"cannot render {template}: {exc}") from exc
    return files


def write(settings: Settings, files: dict[str, str]) -> list[str]:
    """Writes the files that differ and returns their names.

    Each is replaced as a whole, so Asterisk never reads half of one; all are for our own user
    only (0600), in folders that are made if they are missing (0700). Raises WeFailed.
    """
    target = configuration(settings)
    try:
        for folder in vars(_folders(settings)).values():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        changed = [name for name, text in files.items() if _read(target / name) != text]
        for name in changed:
            _replace(target / name, files[name])
    except OSError as exc:
        raise WeFailed(f"cannot write Asterisk's configuration: {exc}") from exc
    return changed


def changes(settings: Settings, files: dict[str, str]) -> str:
    """What `write` would change, as a unified diff; empty when nothing.

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
async def turn(settings: Settings) -> AsyncIterator[None]:
    """Hold it from reading the consultants until Asterisk is told of them.

    So of two processes that change consultants at once, the later tells of both changes. Waits
    for the other; cancelling the wait is safe.
    """
    settings.asterisk_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.asterisk_folder / "render.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.05)
        yield


async def apply(settings: Settings, accounts: Sequence[SipAccount], reload: bool) -> list[str]:
    """Renders and writes; with `reload`, a running Asterisk takes the changes over at once.

    Calls go on undisturbed. Returns the names of the files that changed; those not in RELOADS
    need a restart of Asterisk. An Asterisk that is not running is no error: it reads the files
    when it starts. Call it within `turn`. Raises what `render` and `write` raise, and WeFailed
    when a reload fails.
    """
    changed = await asyncio.to_thread(lambda: write(settings, render(settings, accounts)))
    if reload and (_folders(settings).run / "asterisk.ctl").exists():
        for command in chain.from_iterable(RELOADS.values()):
            await _cli(settings, command)
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
        raise WeFailed(f"Asterisk did not answer {command!r} within 20 s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0 and b"Unable to connect" not in output:
        raise WeFailed(f"Asterisk refused {command!r}: {output.decode(errors='replace').strip()}")


def _folders(settings: Settings) -> Folders:
    base = settings.asterisk_folder.absolute()
    return Folders(
        etc=configuration(settings),
        log=base / "log",
        ledger=base / "log" / "cel-custom",
        lib=base / "lib",
        run=base / "run",
        spool=base / "spool",
        prompts=settings.prompts.absolute(),
        recordings=settings.spool.absolute(),
    )


def _refuse_doubtful(settings: Settings, accounts: Sequence[SipAccount]) -> None:
    """What each setting alone cannot tell, and Asterisk would only show by not working."""
    extensions = [account.extension for account in accounts]
    twice = {extension for extension in extensions if extensions.count(extension) > 1}
    if twice:
        raise AskedWrongly(f"more than one account has the extension {', '.join(sorted(twice))}")
    if settings.rtp_end - settings.rtp_start < 3:
        raise AskedWrongly("CALLCENTER_RTP_END must be at least 3 above CALLCENTER_RTP_START")
    if ceil(settings.claim_timeout * 1000) > 60_000:
        raise AskedWrongly("CALLCENTER_CLAIM_TIMEOUT must be 60 seconds or less")
    socket = _folders(settings).run / "asterisk.ctl"
    if set(str(socket)) & set("*?[]{}"):
        # Asterisk takes the path of a file of its configuration for a pattern.
        raise AskedWrongly(f"CALLCENTER_VAR: {socket} must contain none of * ? [ ] {{ }}")
    if len(os.fsencode(socket)) > 107:
        raise AskedWrongly(f"CALLCENTER_VAR is too long: {socket} must be at most 107 bytes")


def _read(path: Path) -> str | None:
    """The file as text; None when it is missing or open to others, so that it is written anew."""
    try:
        if path.stat().st_mode & 0o077:
            return None
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


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
