"""The settings, read once at start from environment variables."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from keycairn.app.hosts import usable
from keycairn.app.ingress.origins import parse_origins, parse_public_url
from keycairn.app.ingress.proxies import check_proxies
from keycairn.app.text_files import text_of
from keycairn.domain.egress_proxy import EgressProxy, parse_proxy
from keycairn.domain.errors import RootKeyError, SettingsError
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.secret import Secret

SHORTEST_ADMIN_TOKEN = 32
PREFIX = "KEYCAIRN_"
DEFAULT_ENV_FILE = Path(".env")

HELP: Mapping[str, str] = {
    "ROOT_KEY": "What encrypts everything: base64: and 32 bytes, or passphrase: and a long sentence.",
    "DATA_DIR": "Folder of the database, the generated root key and the first token. Default ./keycairn-data",
    "DATABASE_URL": "surrealkv://PATH, mem://, ws://HOST:PORT or wss://HOST:PORT. Default: inside the data folder.",
    "DATABASE_NAMESPACE": "SurrealDB namespace. Default keycairn",
    "DATABASE_DATABASE": "SurrealDB database. Default keycairn",
    "DATABASE_USER": "User of a remote SurrealDB.",
    "DATABASE_PASSWORD": "Password of a remote SurrealDB.",
    "DATABASE_CA_FILE": "A file of certificate authorities in PEM that a wss:// database's certificate must be of. "
    "Default: the system's",
    "HOST": "Address to listen on. Default 127.0.0.1",
    "PORT": "Port to listen on. Default 8765",
    "ALLOWED_HOSTS": "Host names to answer to, separated by commas, such as keycairn.example.com; * for any. "
    "Addresses, localhost and names without a dot are always good. Behind a proxy, list the name people use.",
    "PUBLIC_URL": "The address people use, such as https://keycairn.example.com, where a proxy stands in front. "
    "Links lead there, its host name is answered to, and its pages may send requests.",
    "TRUSTED_PROXIES": "Addresses and CIDRs of proxies whose X-Forwarded-For and X-Forwarded-Proto count, separated by "
    "commas. Default: none",
    "CORS_ORIGINS": "Origins whose pages may call the API from a browser, separated by commas, such as "
    "https://app.example.com. Default: none",
    "ADMIN_TOKEN": "A fixed admin token of 32 characters or more, for automated set-ups.",
    "EGRESS_POLICY": "self-hosted (private addresses allowed) or strict (public ones only). Default self-hosted",
    "EGRESS_ALLOW": "Origins and CIDRs that are allowed besides, separated by commas.",
    "EGRESS_PROXY": "The proxy through which providers in the internet are reached, http://HOST:PORT or "
    "http://USER:PASSWORD@HOST:PORT. What is near is reached directly. Default: none",
    "EGRESS_CA_FILE": "A file of certificate authorities in PEM that providers' certificates may be of, besides the "
    "system's. Default: none",
    "ENV_FILE": "A .env file to read provider variables from, besides the environment. Default ./.env",
    "EXTERNAL_PLUGINS": "on or off: load provider plugins of other packages. Default on",
    "BACKUP_DIR": "Folder to write backups to by itself. Without it none are written.",
    "BACKUP_EVERY": "Hours from one such backup to the next, from 1 to 8760. Default 24",
    "BACKUP_KEEP": "How many such backups are kept, from 1 to 1000. Default 7",
    "AUDIT_KEEP_DAYS": "Days for which audit events are kept, up to 36500; 0 for ever. Default 0",
    "USAGE_KEEP_DAYS": "Days for which the sums of usage are kept, up to 36500; 0 for ever. Default 400",
    "TOKEN_KEEP_DAYS": "Days for which a revoked or expired token stays listed, up to 36500; 0 for ever. Default 400",
    "OPEN_NOTEBOOK_CLIENT": "on or off: answer what Open Notebook's web client asks before its pages. Default off",
    "LOG_LEVEL": "debug, info, warning or error. Default info",
}
"""Every setting, by its name after KEYCAIRN_, with what it means."""

FOR_COMMANDS: Mapping[str, str] = {
    "URL": "Only for commands: the Keycairn to talk to, when it is not the one of the data folder.",
    "TOKEN": "Only for commands: the token to show to a running Keycairn.",
    "TOKEN_FILE": "Only for commands: a file that holds that token.",
}
"""What only the commands read, by its name after KEYCAIRN_, with what it means."""

SECRETS = frozenset({"ROOT_KEY", "DATABASE_PASSWORD", "ADMIN_TOKEN", "EGRESS_PROXY"})
"""Settings that are secrets: each can also be read from the file named by KEYCAIRN_<NAME>_FILE."""

_SERVICE_LINK = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_LINKED_PORT = re.compile(r"(tcp|udp|sctp)://\S+")
"""What Kubernetes sets beside a service that is called keycairn, such as KEYCAIRN_PORT=tcp://10.0.0.1:8765; not for us.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"""

_T = TypeVar("_T")
_POLICIES = ("self-hosted", "strict")
_LEVELS = ("debug", "info", "warning", "error")


class Settings(Struct, frozen=True, kw_only=True):
    """Everything an operator can set. Paths are as given; `database_url` "" means: inside the data folder."""

    root_key: RootKey | None = None
    data_dir: Path = Path("keycairn-data")
    database_url: str = ""
    database_namespace: str = "keycairn"
    database_name: str = "keycairn"
    database_user: str | None = None
    database_password: Secret | None = None
    database_ca_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    allowed_hosts: tuple[str, ...] = ()
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    admin_token: Secret | None = None
    egress_policy: str = "self-hosted"
    egress_allow: tuple[str, ...] = ()
    egress_proxy: EgressProxy | None = None
    egress_ca_file: Path | None = None
    env_file: Path | None = DEFAULT_ENV_FILE
    external_plugins: bool = True
    open_notebook_client: bool = False
    log_level: str = "info"
    backup_dir: Path | None = None
    backup_every: int = 24
    backup_keep: int = 7
    audit_keep_days: int = 0
    usage_keep_days: int = 400
    token_keep_days: int = 400

    @property
    def store_url(self) -> str:
        """The database URL, the default filled in."""
        return self.database_url or f"surrealkv://{self.data_dir}/db"

    @property
    def embedded(self) -> bool:
        """Whether the database lives inside this process."""
        return not self.store_url.startswith(("ws://", "wss://"))

    @property
    def safety_dir(self) -> Path | None:
        """Where a backup goes that is made before a repair; None where the database does not outlive the process."""
        return self.backup_dir or (None if self.in_memory else self.data_dir / "backups")

    @property
    def in_memory(self) -> bool:
        """Whether the database is gone when the process ends."""
        return self.store_url.startswith("mem://")


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that `environment` describes. A blank variable counts as unset.

    Raises SettingsError: one plain sentence that names the variable, and its value only where that is no secret.
    """
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and not _known(name))
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting of Keycairn. `keycairn settings` lists them all.")
    read = _Reader(environment)
    return Settings(
        root_key=read.secret("ROOT_KEY", _root_key),
        data_dir=Path(read.text("DATA_DIR", "keycairn-data")),
        database_url=read.text("DATABASE_URL", "", _database_url),
        database_namespace=read.text("DATABASE_NAMESPACE", "keycairn"),
        database_name=read.text("DATABASE_DATABASE", "keycairn"),
        database_user=read.text("DATABASE_USER", "") or None,
        database_password=read.secret("DATABASE_PASSWORD", lambda secret: secret),
        database_ca_file=read.path("DATABASE_CA_FILE"),
        host=read.text("HOST", "127.0.0.1"),
        port=read.port("PORT", 8765),
        allowed_hosts=read.listed("ALLOWED_HOSTS", _allowed_hosts),
        public_url=read.text("PUBLIC_URL", "", parse_public_url),
        trusted_proxies=read.listed("TRUSTED_PROXIES", check_proxies),
        cors_origins=read.listed("CORS_ORIGINS", parse_origins),
        admin_token=read.secret("ADMIN_TOKEN", _admin_token),
        egress_policy=read.choice("EGRESS_POLICY", _POLICIES),
        egress_allow=read.listed("EGRESS_ALLOW"),
        egress_proxy=read.secret("EGRESS_PROXY", parse_proxy),
        egress_ca_file=read.path("EGRESS_CA_FILE"),
        env_file=Path(read.text("ENV_FILE", str(DEFAULT_ENV_FILE))),
        external_plugins=read.choice("EXTERNAL_PLUGINS", ("on", "off")) == "on",
        open_notebook_client=read.choice("OPEN_NOTEBOOK_CLIENT", ("off", "on")) == "on",
        backup_dir=read.path("BACKUP_DIR"),
        backup_every=read.number("BACKUP_EVERY", 24, most=8760),
        backup_keep=read.number("BACKUP_KEEP", 7, most=1000),
        audit_keep_days=read.number("AUDIT_KEEP_DAYS", 0, least=0, most=36500),
        usage_keep_days=read.number("USAGE_KEEP_DAYS", 400, least=0, most=36500),
        token_keep_days=read.number("TOKEN_KEEP_DAYS", 400, least=0, most=36500),
        log_level=read.choice("LOG_LEVEL", ("info", *(level for level in _LEVELS if level != "info"))),
    )


def _known(name: str) -> bool:
    bare = name.removeprefix(PREFIX)
    return (
        bare in HELP
        or bare in FOR_COMMANDS
        or bare.removesuffix("_FILE") in SECRETS
        or _SERVICE_LINK.fullmatch(bare) is not None
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str, check: Callable[[str], object] = lambda _: None) -> str:
        value = self._environment.get(PREFIX + name, "").strip()
        if value:
            check(value)
        return value or default

    def listed(self, name: str, check: Callable[[tuple[str, ...]], object] = lambda _: None) -> tuple[str, ...]:
        parts = tuple(filter(None, (part.strip() for part in self.text(name, "").split(","))))
        check(parts)
        return parts

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, choices[0]).lower()
        if value not in choices:
            raise SettingsError(f"{PREFIX}{name} must be {' or '.join(choices)}.")
        return value

    def port(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if _LINKED_PORT.fullmatch(value):
            return default
        if not (value.isascii() and value.isdigit() and 0 <= int(value) <= 65535):
            raise SettingsError(f"{PREFIX}{name} must be a port number from 0 to 65535.")
        return int(value)

    def path(self, name: str) -> Path | None:
        value = self.text(name, "")
        return Path(value) if value else None

    def number(self, name: str, default: int, *, least: int = 1, most: int) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most):
            raise SettingsError(f"{PREFIX}{name} must be a whole number from {least} to {most}.")
        return int(value)

    def secret(self, name: str, parse: Callable[[Secret], _T]) -> _T | None:
        inline, file = (self.text(name + suffix, "") for suffix in ("", "_FILE"))
        if inline and file:
            raise SettingsError(f"Set {PREFIX}{name} or {PREFIX}{name}_FILE, not both.")
        if file:
            inline = self._contents(name, Path(file))
        return parse(Secret(inline)) if inline else None

    def _contents(self, name: str, file: Path) -> str:
        text = text_of(file, f"{PREFIX}{name}_FILE").strip()
        if not text:
            raise SettingsError(f"{PREFIX}{name}_FILE: {file} is empty.")
        return text


def _root_key(text: Secret) -> RootKey:
    try:
        return parse_root_key(text)
    except RootKeyError as error:
        raise SettingsError(f"KEYCAIRN_ROOT_KEY cannot be used. {error}") from None


def _admin_token(text: Secret) -> Secret:
    token = text.reveal()
    if len(token) < SHORTEST_ADMIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"KEYCAIRN_ADMIN_TOKEN must be {SHORTEST_ADMIN_TOKEN} or more ASCII characters without spaces. "
            "Make one with: openssl rand -hex 32"
        )
    return text


def _allowed_hosts(entries: tuple[str, ...]) -> None:
    if not all(usable(entry) for entry in entries):
        raise SettingsError(
            "KEYCAIRN_ALLOWED_HOSTS takes host names without http:// or a path, such as keycairn.example.com, "
            "*.example.com or keycairn.example.com:8443."
        )


def _database_url(url: str) -> None:
    if not url.startswith(("surrealkv://", "mem://", "ws://", "wss://")):
        raise SettingsError("KEYCAIRN_DATABASE_URL must begin with surrealkv://, mem://, ws:// or wss://.")
    if "?" in url or "@" in url:
        raise SettingsError(
            "KEYCAIRN_DATABASE_URL takes no options and no password; use KEYCAIRN_DATABASE_USER and _PASSWORD."
        )
    try:
        parts = urlsplit(url)
        reachable = parts.scheme not in {"ws", "wss"} or bool(parts.hostname and parts.port != 0)
    except ValueError:
        reachable = False
    if not reachable:
        raise SettingsError("KEYCAIRN_DATABASE_URL needs a host, and a port from 1 to 65535 where it names one.")
