"""All settings of the product: one frozen object, read once.

Every key is an environment variable with the prefix `CALLCENTER_`, or a line in the file
`callcenter.env` in the product's folder (the environment wins). A wrong value stops the program
at start with the name of the key. Secrets are not settings: see `callcenter.platform.core.secrets`.
"""

import re
import sys
import sysconfig
from datetime import timedelta
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from callcenter.platform.core.age_key import AgePublicKey
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.operators import Operator, OperatorName
from callcenter.platform.core.s3_url import S3Location, parse_s3_url
from callcenter.platform.core.smtp_url import is_loopback, parse_smtp_url

_FIELD_OF_ERROR = re.compile(r'field "(\w+)"')  # in a SettingsError, which has no more of it

_CLONE = Path(__file__).resolve().parents[3]
_IS_CLONE = (_CLONE / "pyproject.toml").is_file()
#: The product's folder: its clone or, installed from a wheel, what the virtual environment is in.
ROOT = _CLONE if _IS_CLONE else Path(sys.prefix).parent
#: What the product reads beside its package: `migrations`, `dialplan`, `asterisk-conf`.
DATA = _CLONE if _IS_CLONE else Path(sysconfig.get_path("data"), "share", "callcenter")

#: RFC 1918, RFC 4193, and this machine.
PRIVATE_NETWORKS = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("::1/128", "fc00::/7"),
)

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _is_bucket(url: SecretStr) -> SecretStr:
    parse_s3_url(url.get_secret_value())
    return url


def _is_store(place: SecretStr) -> SecretStr:
    if not place.get_secret_value().startswith("/"):
        _is_bucket(place)
    return place


def _place_of(store: SecretStr | None) -> Path | S3Location | None:
    if store is None:
        return None
    place = store.get_secret_value()
    return Path(place) if place.startswith("/") else parse_s3_url(place)


def _is_mail_server(url: SecretStr) -> SecretStr:
    parse_smtp_url(url.get_secret_value())
    return url


def _is_webhook(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    is_own = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_own):
        raise ValueError("a webhook is at https://, or on this machine")
    return url


#: A bucket of S3 and the secret that opens it, see `buckets`; a folder may be in its place.
BucketUrl = Annotated[SecretStr, AfterValidator(_is_bucket)]
StoreUrl = Annotated[SecretStr, AfterValidator(_is_store)]
#: A mailbox, without a name: RFC 5321 permits more, mail servers hardly do.
MailAddress = Annotated[str, Field(pattern=r"^[^@\s<>,\"]{1,64}@[A-Za-z0-9.-]{1,255}$")]
#: A number that operators send, X for any digit.
Called = Annotated[str, Field(pattern=r"^\+?[0-9X]{0,13}[0-9]{2}$")]
#: The beginning of a number in E.164, or a whole short number; see `dialling.numbers`.
Listed = Annotated[str, Field(pattern=r"^(\+[1-9][0-9]{0,14}|[0-9]{2,5})$")]


class Settings(BaseSettings):
    """Durations are in seconds; a relative path is relative to the working directory.

    An empty value is as if it were left out; `none` is the value for a server of ours where
    `callcenter.env` names another.
    """

    model_config = SettingsConfigDict(
        env_prefix="CALLCENTER_",
        env_file=ROOT / "callcenter.env",
        env_ignore_empty=True,
        env_parse_none_str="none",
        frozen=True,
        extra="forbid",
    )

    # Where things are
    var: AbsolutePath = Field(ROOT / "var", description="All state of this copy")
    recordings: AbsolutePath = Field(
        ROOT / "recordings", description="The embedded store of recordings"
    )
    recordings_url: BucketUrl | None = Field(
        None,
        description="A bucket of S3 instead of that folder: "
        "s3://KEY:SECRET@BUCKET/PREFIX?endpoint=https://HOST&region=REGION, KEY and SECRET "
        "percent-encoded; what is left out is taken from AWS_ACCESS_KEY_ID and its like",
    )
    recordings_copy: StoreUrl | None = Field(
        None,
        description="A second store, to which the worker copies what is sealed: /FOLDER on "
        "another disk, or a bucket as above",
    )
    backups: StoreUrl | None = Field(
        None,
        description="Where `callcenter backup` puts archives, and the worker beside them what a "
        "restore must not undo: /FOLDER of another machine, or a bucket as above",
    )
    backup_method: Literal["dump", "continuous"] = Field(
        "dump",
        description="What a backup has of the database: `dump`, one moment; `continuous`, the "
        "whole server, and each minute its log beside, for a restore to any moment",
    )
    recordings_format: Literal["flac", "opus"] = Field(
        "flac", description="What recordings are kept in: flac loses nothing, opus takes 40 % of it"
    )
    keys_folder: AbsolutePath | None = Field(
        None,
        description="Private keys, for the users of `web` and `worker` only; empty: VAR/keys",
    )
    recovery_keys: tuple[AgePublicKey, ...] = Field(
        (),
        description="Public keys of age (age1...) that open recordings too, whose private part is "
        "kept elsewhere for the day when all others are lost (JSON list)",
    )
    retention_days: dict[str, Annotated[int, Field(ge=1, le=36500)]] = Field(
        {},
        description="Days that recordings are kept, by the kind of the appeal (consultation, "
        "statement, complaint, danger, status, no_request), else by its outcome, * for others; "
        "what is not named is kept for ever. They are proposed for erasing, never erased by "
        'themselves (JSON, as in {"*": 1825})',
    )
    trace_legal_basis: str | None = Field(
        None,
        min_length=10,
        max_length=300,
        description="The act and article by which a withheld number is kept, sealed, for a trace "
        "in danger; empty: none is kept",
    )
    trace_key: AgePublicKey | None = Field(
        None,
        validate_default=True,
        description="The public key of recordings (age1...) that such numbers are sealed to: the "
        "comment of the newest file in KEYS/recordings has it",
    )
    trace_hours: int = Field(
        72, ge=1, le=720, description="Hours after which a sealed number is erased"
    )
    caller_history_days: int = Field(
        365,
        ge=1,
        le=36500,
        description="Days after their end for which blocks of numbers and plans for frequent "
        "callers stay; then they are erased",
    )
    demand_hold_days: int = Field(
        1095,
        ge=1,
        le=36500,
        description="Days after its acknowledgement for which what a demand was answered with is "
        "not erased; the head can end that sooner",
    )
    cel_days: int = Field(
        30,
        ge=3,
        le=3650,
        description="Days for which Asterisk's log of calls (CEL) is kept, with callers' numbers; "
        "then its files are deleted",
    )
    asterisk_tree: AbsolutePath = Field(
        ROOT / "var" / "asterisk-tree",
        description="Private Debian tree with Asterisk, used when the machine has none new enough",
    )
    voices: AbsolutePath = Field(
        ROOT / "var" / "voices",
        description="Human recordings that replace synthetic prompts: LANGUAGE/ID.wav (or .flac)",
    )

    # Servers of your own; empty means that `callcenter up` starts one under `var`
    database_url: SecretStr | None = Field(None, description="postgresql://user:password@host/db")
    redis_url: SecretStr | None = Field(None, description="redis://... or unix:///path")

    # Sign-in
    second_factor_roles: tuple[str, ...] = Field(
        ("senior", "records_officer", "head", "administrator", "authority", "auditor"),
        description="Roles that may do nothing without a second factor; others may have one "
        "(JSON list; []: nobody must)",
    )

    password_names: tuple[str, ...] | None = Field(
        None,
        description="Who may still sign in with a password where an organisation's sign-in is set "
        "up: at least one administrator, for the day when it is away (JSON list; empty: everybody)",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+$",
        description="The address of the pages as browsers see it, as https://111.example.kz",
    )
    portal_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+$",
        description="The address of the portal as applicants see it, on a host name of its own: "
        "cookies of staff go to every port of theirs; empty: http://localhost and its port",
    )
    portal_key: AgePublicKey | None = Field(
        None,
        description="The public key (age1...) to which the portal seals what is written, where it "
        "is on another machine: `callcenter keys portal` shows it; empty: that of VAR/portal",
    )
    portal_exit_url: str = Field(
        "https://www.kazhydromet.kz/",
        pattern=r"^https?://[^\s\"'<>]+$",
        description="Where whoever leaves the portal quickly is led: a page that nobody wonders "
        "about and that shows nothing of who looks at it, such as the weather",
    )
    oidc_issuer: str | None = Field(
        None,
        description="Sign in by an organisation's OpenID Connect provider: its issuer, letter by "
        "letter; what it needs to know of us is PUBLIC_URL/sign-in/provider/back",
    )
    oidc_client_id: str = Field("callcenter", description="What we are called there")
    oidc_client_secret: SecretStr | None = Field(
        None, description="The secret that it gave us; empty: it gave none, and PKCE is enough"
    )
    oidc_scopes: str = Field("openid profile email", description="What we ask to be told of people")
    oidc_groups_claim: str = Field(
        "groups",
        description="What it tells people's groups in; within others by dots: realm_access.roles",
    )
    oidc_roles: dict[str, str] = Field(
        {},
        description="The role that each group has here, the first that fits counts; who is in none "
        'has no entry (JSON, as in {"line111-heads": "head"})',
    )
    oidc_second_factor: tuple[str, ...] = Field(
        ("mfa",),
        description="What it says (amr, acr) of people who proved a second factor there, so that "
        "ours is not asked for (JSON list)",
    )

    oidc_check_interval: Seconds = Field(
        300,
        description="Seconds after which it is asked again about people who signed in by it: who "
        "is in no group any more loses sessions, telephone and offers",
    )

    # Addresses and ports
    web_address: IPv4Address = IPv4Address("127.0.0.1")
    web_port: Port = 8111
    portal_address: IPv4Address = IPv4Address("127.0.0.1")
    portal_port: Port = 8112
    ari_port: Port = Field(8088, description="Asterisk's HTTP server, on loopback only")
    ami_port: Port = Field(5038, description="Asterisk's manager, on loopback only")
    hep_port: Port = Field(
        9060,
        description="Where Asterisk tells the worker of each SIP message (HEP, UDP), on loopback "
        "only",
    )
    hep_socket: int | None = Field(
        None,
        ge=3,
        description="The descriptor of a socket that is bound to that port, given to the worker by "
        "`callcenter up` or systemd, so that the port is never free; empty: the worker binds it",
    )
    metrics_port: Port | None = Field(
        9110,
        description="Where the worker tells metrics, on loopback only, and line-1 one further, "
        "line-2 two, the pages twenty, the watchdog twenty-one, the portal twenty-two; `none`: "
        "nowhere",
    )
    telephone_url: str | None = Field(
        None,
        pattern=r"^wss?://[A-Za-z0-9.-]+(:\d{1,5})?/[A-Za-z0-9/_-]*$",
        description="Where browsers that are telephones reach Asterisk's WebSocket: "
        "wss://HOST/PATH of the proxy; empty: ws on loopback",
    )
    sip_address: IPv4Address = Field(IPv4Address("127.0.0.1"), description="Where SIP is heard")
    sip_address_v6: IPv6Address | None = Field(
        None,
        description="A further address where SIP is heard, for operators and softphones with IPv6; "
        "sound then goes by all addresses of the machine",
    )
    sip_port: Port = 5060
    sip_certificate: AbsolutePath | None = Field(
        None,
        description="The certificate of SIP (PEM, with its chain): telephones then register by TLS "
        "alone, and what they say is encrypted (SRTP); empty: neither",
    )
    sip_key: AbsolutePath | None = Field(
        None, validate_default=True, description="The private key of that certificate (PEM)"
    )
    sip_tls_port: Port = 5061
    plain_telephones: bool = Field(
        False, description="With a certificate: let telephones come without TLS and SRTP too"
    )
    rtp_start: Port = 10000
    rtp_end: Port = Field(
        15999, description="A fourth of these ports is how many calls there may be at once"
    )

    # The telephone network
    operator_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (IPv4Network("127.0.0.2/32"),),
        description="Networks from which the operator's trunk sends calls to 111 (JSON list)",
    )
    operators: dict[OperatorName, Operator] = Field(
        {},
        description="Further operators by name, each with the `networks` that it calls from, or "
        "the `registrar` with which we register as `user`, or both; the password is the secret "
        'operator_NAME (JSON, as in {"kcell": {"networks": ["192.0.2.0/28"]}, "beeline": '
        '{"registrar": "sip:sip.example.kz", "user": "7172111"}})',
    )
    telephone_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        tuple(map(ip_network, PRIVATE_NETWORKS)),
        description="Networks in which consultants' telephones are; from others none registers or "
        "is called. Browsers come by the pages' proxy instead (JSON list; private networks)",
    )
    sip_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Further networks from which SIP is heard: of hosts that the other settings "
        "give by name, or of a center's further addresses (JSON list)",
    )
    called_numbers: tuple[Called, ...] = Field(
        (),
        description="Numbers besides 111 by which operators call the line, X for any digit, as in "
        "7111 or +7XXXXXXX111 (JSON list)",
    )
    unified_center_uri: str = Field(
        "sip:1414@127.0.0.3:5060",
        pattern=r"^sip:[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+(:\d{1,5})?$",
        description="Where a call redirected to the Unified Contact Center (1414) is sent",
    )

    network_uri: str = Field(
        "sip:{number}@127.0.0.2:5060",
        pattern=r"^sip:\{number\}@[A-Za-z0-9.-]+(:\d{1,5})?$",
        description="Where the operator takes the calls that we make; {number} is who is called",
    )
    numbers_allowed: tuple[Listed, ...] = Field(
        (),
        description="Numbers that may be called although the plan of Kazakhstan is against it: "
        "beginnings as in +998, or short numbers (JSON list)",
    )
    numbers_refused: tuple[Listed, ...] = Field(
        (), description="Numbers that are never called, in the same form; the longer entry counts"
    )

    shown_number: str = Field(
        "111", pattern=r"^\+?[0-9]{2,15}$", description="What people see whom the line calls"
    )
    called_ring_timeout: Seconds = Field(40, description="How long somebody whom we call is rung")
    calls_by_consultant: int = Field(60, ge=1, description="Calls of a consultant within an hour")
    calls_to_number: int = Field(
        6, ge=1, description="Calls of all consultants to one number within an hour"
    )
    urgent_escalations: tuple[Seconds, Seconds, Seconds] = Field(
        (300, 900, 1800),
        description="Seconds in which a body takes an urgent notification: after them its next "
        "contact, the head of the shift, the commissioner are due (JSON list)",
    )
    urgent_result_timeout: Seconds = Field(
        1800,
        description="Seconds after which it is to be known whether a body that took an urgent "
        "notification reached the person; supervisors are alerted until it is",
    )
    callback_pauses: tuple[Seconds, ...] = Field(
        (300, 900, 3600),
        description="From one attempt to call back to the next: there is one more (JSON list)",
    )

    # The call
    controllers: int = Field(2, ge=1, le=16, description="Number of controller processes")
    claim_timeout: Seconds = Field(0.5, description="After this without a claim, fall back")
    admission_limit: Seconds = Field(
        0.25, description="A controller that is so late itself claims no new calls"
    )
    key_timeout: Seconds = Field(5, description="Silence after a menu that counts as no key")
    ring_timeout: Seconds = Field(15, description="How long one consultant's phone rings")
    announce_every: Seconds = Field(45, description="Music between two words about the queue")
    ask_every: Seconds = Field(120, description="Waiting after which other ways are offered")
    patience: Seconds = Field(
        300, description="Who has waited so long, and not chosen to wait on, goes to 1414"
    )
    urgent_rounds: int = Field(
        6, ge=1, le=100, description="How many times that long an urgent caller waits"
    )
    urgent_alarm: Seconds = Field(
        60, description="An urgent caller who has waited so long alerts supervisors"
    )
    unified_ring_timeout: Seconds = Field(20, description="How long 1414 rings")
    message_limit: Seconds = Field(120, description="The longest message that a caller may leave")
    message_shortest: float = Field(1, ge=0, le=60, description="A shorter message is none")
    redirect_keys: str = Field(
        "*14", pattern=r"^[0-9*#]{2,6}$", description="Consultant's keys that redirect to 1414"
    )
    survey_always: bool = Field(
        False,
        description="Ask for a mark after every conversation, else when the consultant keys *15",
    )

    # The register
    attachment_limit: int = Field(
        20, ge=1, le=50, description="Megabytes of a file that is attached to an appeal, at most"
    )
    clamd: str | None = Field(
        None,
        pattern=r"^(unix:/.+|tcp://[^:/\s]+:\d{1,5})$",
        description="Where ClamAV's daemon looks for viruses in attached files: "
        "unix:/run/clamav/clamd.ctl or tcp://host:port; empty: nobody looks",
    )

    # Consultants
    sign_in_required: bool = Field(
        True,
        description="Offer calls only to those who signed in (on the page of work, or by *10); "
        "false: to each registered softphone, whoever has it",
    )
    wrap_up: float = Field(
        30, ge=0, le=3600, description="Time after a conversation without a new call"
    )
    wrap_up_limit: float = Field(
        300,
        ge=0,
        le=3600,
        description="Longest time after a conversation, when a consultant needs longer",
    )
    away_limit: Seconds = Field(
        120, description="A consultant whose telephone is away for so long is signed out"
    )
    page_limit: Seconds = Field(
        90, description="Who signed in by the page and has it closed for so long is paused"
    )
    return_limit: float = Field(
        60, ge=0, le=1440, description="Minutes in which who rings back gets the same consultant"
    )

    written_offer_timeout: Seconds = Field(
        120,
        description="Seconds for which something written is offered to one consultant; what is "
        "not read by then goes back to the queue",
    )
    written_capacity: int = Field(
        3,
        ge=1,
        le=50,
        description="Written contacts that a consultant has in hand at most, beside calls",
    )
    written_goal: float = Field(
        3600,
        ge=60,
        le=86_400,
        description="Seconds within which what is written is to be read: then supervisors are "
        "alerted; in danger they are at once",
    )

    service_level_seconds: int = Field(
        20, ge=1, le=3600, description="A call answered after at most so long is within the goal"
    )
    export_limit: int = Field(
        50_000, ge=1, le=1_000_000, description="Appeals that one file may hold"
    )
    status_tries: int = Field(
        1000,
        ge=1,
        description="Wrong tries in a day of all visitors of one machine, such as the portal, to "
        "learn how appeals stand; from then on each has two, and supervisors are alerted",
    )
    viewed_appeals_alert: int = Field(
        60,
        ge=5,
        le=10_000,
        description="Appeals that one person opens in an hour, of callers with whom they did not "
        "talk and without a change, from which supervisors are alerted",
    )
    smtp_url: Annotated[SecretStr, AfterValidator(_is_mail_server)] | None = Field(
        None,
        description="The mail server: smtp://USER:PASSWORD@HOST:587 (with STARTTLS but on this "
        "machine), or smtps://USER:PASSWORD@HOST:465; empty: nothing is mailed",
    )
    mail_from: MailAddress | None = Field(None, description="Whom mail comes from")
    alert_recipients: tuple[MailAddress, ...] = Field(
        (),
        max_length=20,
        description="Who gets alerts by mail that nobody has acknowledged (JSON list)",
    )
    alert_webhook: Annotated[SecretStr, AfterValidator(_is_webhook)] | None = Field(
        None,
        description="The URL that gets the same alerts as JSON, by POST (https, or here)",
    )
    unanswered_window: float = Field(
        60,
        ge=0,
        le=10080,
        description="Minutes in which callers waited for a language and none was answered, after "
        "which supervisors are alerted; 0: never",
    )
    silent_telephone: int = Field(
        15,
        ge=2,
        le=300,
        description="Seconds after which a consultant's telephone that sends no sound is dead",
    )

    journal_limit: int = Field(
        256 * 1024**2,
        ge=1024**2,
        description="Bytes that what waits for the database may take on disk, for each controller",
    )

    # The fallback
    fallback_patience: Seconds = Field(120, description="Waiting in the dialplan's own queue")

    @field_validator("alert_recipients")
    @classmethod
    def _check_recipients(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if given and not (info.data.get("smtp_url") and info.data.get("mail_from")):
            raise ValueError("SMTP_URL and MAIL_FROM are needed to mail alerts")
        return given

    @field_validator("portal_url")
    @classmethod
    def _check_portal_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        staff = info.data.get("public_url")
        if url and staff and urlsplit(url).hostname == urlsplit(staff).hostname:
            raise ValueError("the portal has a host name of its own: PUBLIC_URL has this one")
        return url

    @field_validator("trace_key")
    @classmethod
    def _check_trace_key(cls, key: str | None, info: ValidationInfo) -> str | None:
        if key is None and info.data.get("trace_legal_basis") is not None:
            raise ValueError("name the key to which withheld numbers are sealed (age1...)")
        return key

    @field_validator("sip_key")
    @classmethod
    def _check_sip_key(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("sip_certificate") is None):
            raise ValueError("SIP_CERTIFICATE and SIP_KEY belong together")
        return key

    @property
    def answer_goal(self) -> timedelta:
        """The longest wait of a call that is answered in time."""
        return timedelta(seconds=self.service_level_seconds)

    @cached_property
    def store(self) -> Path | S3Location:
        """The store of sealed recordings."""
        url = self.recordings_url
        return self.recordings if url is None else parse_s3_url(url.get_secret_value())

    @cached_property
    def copy_store(self) -> Path | S3Location | None:
        """The second store, for copies."""
        return _place_of(self.recordings_copy)

    @cached_property
    def backup_store(self) -> Path | S3Location | None:
        """The place of backups."""
        return _place_of(self.backups)

    @property
    def archives_log(self) -> bool:
        """Whether the database's log is archived beside the backups."""
        return self.backup_method == "continuous" and self.backups is not None

    @cached_property
    def run(self) -> Path:
        """Sockets and files of running processes."""
        return self.var / "run"

    @cached_property
    def members(self) -> Path:
        """Member files of controllers and watchdog (telephony/asterisk/cluster/member_files.py)."""
        return self.run / "members"

    @cached_property
    def secrets_folder(self) -> Path:
        return self.var / "secrets"

    @cached_property
    def keys(self) -> Path:
        """Private keys that open recordings: no controller needs them, or may read them."""
        return self.keys_folder or self.var / "keys"

    @cached_property
    def portal_key_file(self) -> Path:
        """The public key to which the portal seals, which `callcenter keys make` writes."""
        return self.var / "portal" / "key.pub"

    @property
    def portal_host(self) -> str:
        """The host name that the portal answers to."""
        return (self.portal_url and urlsplit(self.portal_url).hostname) or "localhost"

    @cached_property
    def asterisk_folder(self) -> Path:
        """Configuration, logs and databases of our Asterisk: `etc`, `log`, `lib`, `run`."""
        return self.var / "asterisk"

    @cached_property
    def prompts(self) -> Path:
        """Prompts as Asterisk plays them: LANGUAGE/ID.alaw, 8000 Hz."""
        return self.var / "prompts"

    @cached_property
    def spool(self) -> Path:
        """Recordings that Asterisk is writing or that wait to be stored."""
        return self.var / "spool"

    @cached_property
    def journals(self) -> Path:
        """Spooled journals: call events not in the database yet, with phone numbers."""
        return self.var / "journal"

    @cached_property
    def exports(self) -> Path:
        """Parts of files for the pages, in plain, while they are made or received."""
        return self.var / "exports"

    @cached_property
    def packing(self) -> Path:
        """Where a backup is packed, encrypted, before it is put into its place."""
        return self.var / "backup"

    @cached_property
    def audit_heads(self) -> Path:
        """Checkpoints of the audit log, one a day: to be copied to a safe place."""
        return self.var / "audit"

    @cached_property
    def postgres_folder(self) -> Path:
        """`data` and the server's socket; owned by the user that runs PostgreSQL."""
        return self.var / "postgres"

    @property
    def database(self) -> str:
        """URL for psycopg: the configured server, or the embedded one by its UNIX socket.

        As its owner, whose password is in a file; a process goes by `database_roles.in_role`.
        """
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        folder, password = self.postgres_folder, self.secrets_folder / "database_postgres"
        return (
            f"postgresql://postgres@/callcenter?host={quote(str(folder))}"
            f"&passfile={quote(str(password))}"
        )

    @cached_property
    def telephone(self) -> str:
        """The WebSocket of Asterisk for softphones in browsers."""
        return self.telephone_url or f"ws://127.0.0.1:{self.ari_port}/ws"

    @property
    def redis(self) -> str:
        """URL of the configured server, or of that of `callcenter up` by its UNIX socket.

        With what people's commands log in with; a process goes by `redis_users.as_redis_user`.
        """
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        return f"unix://{quote(str(self.run / 'redis.sock'))}"


def read_settings(*, reads_file: bool = True) -> Settings:
    """The settings of this process: of its environment, and of the file if it `reads_file`.

    Raises InvalidRequest that names the bad key and says what is wrong with it.
    """
    try:
        return Settings() if reads_file else Settings(_env_file=None)
    except ValidationError as exc:
        wrong = "; ".join(
            f"CALLCENTER_{'.'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
            for error in exc.errors()
        )
        raise InvalidRequest(f"wrong setting: {wrong}") from exc
    except SettingsError as exc:
        # Its cause says where, without the value: that may be a secret.
        key = "".join(_FIELD_OF_ERROR.findall(str(exc))).upper()
        raise InvalidRequest(f"wrong setting: CALLCENTER_{key}: no JSON: {exc.__cause__}") from exc
    except OSError as exc:
        raise InvalidRequest(
            f"cannot read the settings in {exc.filename or Settings.model_config['env_file']}: "
            f"{exc.strerror}"
        ) from exc
