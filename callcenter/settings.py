"""All settings of the product: one frozen object, read once.

Every key is an environment variable with the prefix `CALLCENTER_`, or a line in the file
`callcenter.env` in the project's folder (the environment wins). A wrong value stops the program
at start with the name of the key. Secrets are not settings: see `callcenter.secrets`.
"""

from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from callcenter.buckets import Bucket, read_bucket
from callcenter.errors import AskedWrongly

ROOT = Path(__file__).resolve().parent.parent

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _is_bucket(url: SecretStr) -> SecretStr:
    read_bucket(url.get_secret_value())
    return url


def _is_store(place: SecretStr) -> SecretStr:
    if not place.get_secret_value().startswith("/"):
        _is_bucket(place)
    return place


#: A bucket of S3 and the secret that opens it, see `buckets`; a folder may be in its place.
BucketUrl = Annotated[SecretStr, AfterValidator(_is_bucket)]
StoreUrl = Annotated[SecretStr, AfterValidator(_is_store)]
#: The beginning of a number in E.164, or a whole short number; see `dialling.numbers`.
Listed = Annotated[str, Field(pattern=r"^(\+[1-9][0-9]{0,14}|[0-9]{2,5})$")]


class Settings(BaseSettings):
    """Durations are in seconds; a relative path is relative to the working directory.

    `none` is the value for a server of ours where `callcenter.env` names another.
    """

    model_config = SettingsConfigDict(
        env_prefix="CALLCENTER_",
        env_file=ROOT / "callcenter.env",
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
    recordings_format: Literal["flac", "opus"] = Field(
        "flac", description="What recordings are kept in: flac loses nothing, opus takes 40 % of it"
    )
    keys_folder: AbsolutePath | None = Field(
        None,
        description="Private keys, for the users of `web` and `worker` only; empty: VAR/keys",
    )
    recovery_keys: tuple[str, ...] = Field(
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
    demand_hold_days: int = Field(
        1095,
        ge=1,
        le=36500,
        description="Days after its acknowledgement for which what a demand was answered with is "
        "not erased; the head can end that sooner",
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
        ("records_officer", "head", "administrator", "authority", "auditor"),
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

    # Addresses and ports
    web_address: IPv4Address = IPv4Address("127.0.0.1")
    web_port: Port = 8111
    ari_port: Port = Field(8088, description="Asterisk's HTTP server, on loopback only")
    ami_port: Port = Field(5038, description="Asterisk's manager, on loopback only")
    metrics_port: Port | None = Field(
        9110,
        description="Where the worker tells metrics, on loopback only, and line-1 one further, "
        "line-2 two, the pages twenty, the watchdog twenty-one; `none`: nowhere",
    )
    telephone_url: str | None = Field(
        None,
        pattern=r"^wss?://[A-Za-z0-9.-]+(:\d{1,5})?/[A-Za-z0-9/_-]*$",
        description="Where browsers that are telephones reach Asterisk's WebSocket: "
        "wss://HOST/PATH of the proxy; empty: ws on loopback",
    )
    sip_address: IPv4Address = Field(IPv4Address("127.0.0.1"), description="Where SIP is heard")
    sip_port: Port = 5060
    rtp_start: Port = 10000
    rtp_end: Port = 19999

    # The telephone network
    operator_networks: tuple[IPv4Network, ...] = Field(
        (IPv4Network("127.0.0.2/32"),),
        description="Networks from which the operator's trunk sends calls to 111 (JSON list)",
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
    callback_pauses: tuple[Seconds, ...] = Field(
        (300, 900, 3600),
        description="From one attempt to call back to the next: there is one more (JSON list)",
    )

    # The call
    controllers: int = Field(2, ge=1, le=16, description="Number of `callcenter line` processes")
    claim_timeout: Seconds = Field(0.5, description="After this without a claim, fall back")
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
        60, description="An urgent caller who has waited so long alarms supervisors"
    )
    unified_ring_timeout: Seconds = Field(20, description="How long 1414 rings")
    message_limit: Seconds = Field(120, description="The longest message that a caller may leave")
    message_pause: Seconds = Field(
        900, description="Until a message that a consultant put off is offered again"
    )
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
        False, description="Offer calls to those who signed in; else to each registered telephone"
    )
    wrap_up: float = Field(
        30, ge=0, le=3600, description="Time after a conversation without a new call"
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

    export_limit: int = Field(
        50_000, ge=1, le=1_000_000, description="Appeals that one file may hold"
    )
    status_tries: int = Field(
        1000,
        ge=1,
        description="Wrong tries in a day of all visitors of one machine, such as the portal, to "
        "learn how appeals stand; then it is refused until the day is over",
    )
    unanswered_window: float = Field(
        60,
        ge=0,
        le=10080,
        description="Minutes in which callers waited for a language and none was answered, after "
        "which supervisors are alarmed; 0: never",
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

    @cached_property
    def store(self) -> Path | Bucket:
        """Where sealed recordings are kept."""
        url = self.recordings_url
        return self.recordings if url is None else read_bucket(url.get_secret_value())

    @cached_property
    def copy_store(self) -> Path | Bucket | None:
        """Where they are copied to."""
        if self.recordings_copy is None:
            return None
        place = self.recordings_copy.get_secret_value()
        return Path(place) if place.startswith("/") else read_bucket(place)

    @cached_property
    def run(self) -> Path:
        """Sockets and files of running processes."""
        return self.var / "run"

    @cached_property
    def secrets_folder(self) -> Path:
        return self.var / "secrets"

    @cached_property
    def keys(self) -> Path:
        """Private keys that open recordings: no controller needs them, or may read them."""
        return self.keys_folder or self.var / "keys"

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
        """What happened in calls and is not in the database yet: phone numbers are in it."""
        return self.var / "journal"

    @cached_property
    def laid_out(self) -> Path:
        """Audio in plain that Asterisk plays to a consultant this moment, and no longer."""
        return self.var / "laid-out"

    @cached_property
    def audit_heads(self) -> Path:
        """Signed heads of the audit log, one a day: to be copied to where nobody changes them."""
        return self.var / "audit"

    @cached_property
    def postgres_folder(self) -> Path:
        """`data` and the server's socket; owned by the user that runs PostgreSQL."""
        return self.var / "postgres"

    @cached_property
    def database(self) -> str:
        """URL for psycopg: the configured server, or the embedded one by its UNIX socket."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"postgresql://postgres@/callcenter?host={self.postgres_folder}"

    @cached_property
    def telephone(self) -> str:
        """The WebSocket by which browsers that are telephones reach Asterisk."""
        return self.telephone_url or f"ws://127.0.0.1:{self.ari_port}/ws"

    @cached_property
    def redis(self) -> str:
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        return f"unix://{self.run / 'redis.sock'}"


def read_settings() -> Settings:
    """The settings of this process.

    Raises AskedWrongly that names the bad key and says what is wrong with it.
    """
    try:
        return Settings()
    except ValidationError as exc:
        wrong = "; ".join(
            f"CALLCENTER_{'.'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
            for error in exc.errors()
        )
        raise AskedWrongly(f"wrong setting: {wrong}") from exc
