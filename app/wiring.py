"""The composition root: the only file that names adapters."""

import asyncio
import os
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from msgspec import Struct

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.clock import SystemClock
from keycairn.adapters.environment import ProcessEnvironment, read_env_file
from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.adapters.httptools_upstream import HttptoolsUpstream
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.imports.dotenv import DotEnv
from keycairn.adapters.imports.exported import exported, read_json
from keycairn.adapters.imports.legacy import LegacyConfig, legacy_document
from keycairn.adapters.imports.legacy_configs import NotebookLegacy, StoredLegacyConfig
from keycairn.adapters.imports.litellm import LiteLlmConfig, read_yaml
from keycairn.adapters.imports.open_notebook import OpenNotebook, Records
from keycairn.adapters.imports.surreal_records import SurrealRecords
from keycairn.adapters.imports.table import read_table
from keycairn.adapters.surreal import open_surreal
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.backup import Schedule
from keycairn.app.services.retention import Keep
from keycairn.app.settings import Settings
from keycairn.app.sources import Kind, SourceSpec
from keycairn.domain.egress import EgressPolicy, parse_allow
from keycairn.domain.errors import KeycairnError, RootKeyError, SettingsError
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.keyset import KeysetOpener
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.source import ImportSource
from keycairn.ports.store import Store
from keycairn.ports.tracing import Tracing

ROOT_KEY_FILE = "root-key"
ANCHOR_FILE = "audit-head"
_PORTS = {"ws": 80, "wss": 443}
STAGED = ".next"
"""Ends the name of the file a changed root key waits in until the database has taken it."""
FIRST_TOKEN_FILE = "first-token"  # noqa: S105  # a file's name

_log = structlog.get_logger()


class Birth(Struct, frozen=True):
    """What this start made for the first time, to be said once: paths of the generated files, None where not made."""

    root_key_file: Path | None = None
    token_file: Path | None = None


@asynccontextmanager
async def open_keycairn(
    settings: Settings | None = None, *, registry: ProviderRegistry | None = None
) -> AsyncIterator[Keycairn]:
    """Keycairn in this process, without HTTP. Closes the database and the outgoing connections at the end.

    A wrong or missing root key leaves it open but sealed; see `Keycairn.vault`. Raises SettingsError, StoreLockedError
    or StoreUnavailableError.
    """
    async with open_with_birth(settings or Settings(), registry=registry) as (keycairn, _):
        yield keycairn


@asynccontextmanager
async def open_with_birth(
    settings: Settings, *, registry: ProviderRegistry | None = None
) -> AsyncIterator[tuple[Keycairn, Birth]]:
    """As `open_keycairn`, with what was made for the first time."""
    make_private(settings.data_dir)
    policy = EgressPolicy(
        strict=settings.egress_policy == "strict",
        allow=parse_allow(settings.egress_allow),
        own=_own_endpoints(settings),
    )
    async with AsyncExitStack() as stack:
        store = await open_store(settings)
        stack.push_async_callback(store.aclose)
        http = GuardedHttp(policy)
        stack.push_async_callback(http.aclose)
        upstream = HttptoolsUpstream(policy)
        stack.push_async_callback(upstream.aclose)
        keycairn = Keycairn(
            store=store,
            opener=keyset_opener(),
            registry=registry or provider_registry(settings),
            http=http,
            environment=ProcessEnvironment(settings.env_file),
            clock=system_clock(),
            ids=ulids(),
            admin_token=settings.admin_token,
            backup_dir=settings.safety_dir,
            upstream=upstream,
            tracing=_tracing(),
            legacy=NotebookLegacy(None if settings.embedded else _own_records(settings)),
        )
        flaw = await keycairn.audit.compare()
        if flaw is not None:
            _log.error("the database is not as it was left", detail=flaw.detail)
        birth = await _unlock(keycairn, settings)
        if keycairn.vault.why_sealed is None:
            if flaw is not None:
                await keycairn.audit.record(flaw)
            await _settle(keycairn)
            chores = asyncio.create_task(_chores(keycairn))
            stack.push_async_callback(_stop, chores)
            stack.push_async_callback(keycairn.rotation.aclose)
            if settings.backup_dir:
                schedule = Schedule(
                    folder=settings.backup_dir,
                    every=timedelta(hours=settings.backup_every),
                    keep=settings.backup_keep,
                )
                stack.push_async_callback(_stop, asyncio.create_task(keycairn.backups.keep(schedule)))
            keep = Keep(
                events=settings.audit_keep_days, usage=settings.usage_keep_days, tokens=settings.token_keep_days
            )
            stack.push_async_callback(_stop, asyncio.create_task(keycairn.retention.run(keep)))
            stack.push_async_callback(keycairn.sightings.flush)
            stack.push_async_callback(_stop, asyncio.create_task(keycairn.sightings.run()))
        yield keycairn, birth


def _tracing() -> Tracing | None:
    """OpenTelemetry's, where its API is installed (`keycairn[otel]`)."""
    try:
        from keycairn.adapters.otel import OpenTelemetryTracing  # noqa: PLC0415  # only where it is there
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        return None
    return OpenTelemetryTracing()


async def _unlock(keycairn: Keycairn, settings: Settings) -> Birth:
    key_file = settings.data_dir / ROOT_KEY_FILE
    root_key = root_key_of(settings)
    generated = None
    if root_key is None and settings.embedded and await _untouched(keycairn):
        root_key, generated = generate_root_key(None if settings.in_memory else key_file)
    staged = key_file.with_suffix(STAGED)
    if settings.root_key is None and await _opens(keycairn, staged):
        staged.replace(key_file)  # a change of the root key was cut off just before this
    elif not await keycairn.vault.unlock(root_key):
        return Birth(root_key_file=generated)
    return Birth(root_key_file=generated, token_file=await _first_token(keycairn, settings))


async def _opens(keycairn: Keycairn, staged: Path) -> bool:
    """Whether the key of a change that was cut off opens the vault; it does where the database has taken it."""
    try:
        root_key = stored_root_key(staged)
    except SettingsError:
        return False  # cut off while the file was written
    return root_key is not None and await keycairn.store.keyset() is not None and await keycairn.vault.unlock(root_key)


async def _untouched(keycairn: Keycairn) -> bool:
    """Whether no secret can depend on a root key yet."""
    return await keycairn.store.keyset() is None and not await keycairn.store.any_sealed()


async def _first_token(keycairn: Keycairn, settings: Settings) -> Path | None:
    text = await keycairn.tokens.first()
    if text is None:
        return None
    file = settings.data_dir / FIRST_TOKEN_FILE
    write_private(file, text.reveal() + "\n")
    return file


def stored_root_key(file: Path) -> RootKey | None:
    """The root key in a file, None without the file. Raises SettingsError for one that cannot be used."""
    try:
        return parse_root_key(Secret(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, RootKeyError):
        raise SettingsError(
            f"The root key in {file} cannot be read or used. Restore the file from your copy."
        ) from None


def generate_root_key(file: Path | None) -> tuple[RootKey, Path | None]:
    """A new root key, written to `file` where one is given."""
    text = "base64:" + b64encode(secrets.token_bytes(32)).decode()
    if file is not None:
        write_private(file, text + "\n")
    return parse_root_key(Secret(text)), file


async def open_store(settings: Settings, *, anew: bool = False, accept: bool = False) -> Store:
    """The database alone. Raises as `open_keycairn`.

    `anew` makes a new one where there was one that is gone, `accept` goes on with another than the redo log knows.
    """
    return await open_surreal(
        settings.store_url,
        namespace=settings.database_namespace,
        database=settings.database_name,
        user=settings.database_user,
        password=settings.database_password,
        anchor_file=None if settings.in_memory else settings.data_dir / ANCHOR_FILE,
        anew=anew,
        accept=accept,
    )


def system_clock() -> Clock:
    """The time as it is."""
    return SystemClock()


def ulids() -> Ids:
    """What makes ids."""
    return UlidIds()


def keyset_opener() -> KeysetOpener:
    """What opens keysets and makes them."""
    return AesGcmKeysets()


def provider_registry(settings: Settings) -> ProviderRegistry:
    """The providers of all plugins."""
    return PluginRegistry(external=settings.external_plugins)


def root_key_of(settings: Settings) -> RootKey | None:
    """The root key that is set, else the one in the data folder, None without either. Raises SettingsError."""
    return settings.root_key or stored_root_key(settings.data_dir / ROOT_KEY_FILE)


def make_private(folder: Path) -> None:
    """Make a folder only its owner can enter, where there is none. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(f"KEYCAIRN_DATA_DIR is {folder}, which cannot be made: {error.strerror}.") from None


def write_private(file: Path, text: str) -> None:
    """Write a file only its owner can read, and make sure it is on the disk: the database will rely on it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def open_source(spec: SourceSpec) -> ImportSource:
    """The source that `spec` names. Raises UnreadableSourceError, or SettingsError for a .env file."""
    file = Path(spec.place)
    match spec.kind:
        case Kind.ENV:
            return DotEnv(read_env_file(file), spec.specs)
        case Kind.LITELLM:
            variables = ProcessEnvironment(spec.env_file).variables()
            return LiteLlmConfig(read_yaml(file), variables, spec.specs, spec.allowed)
        case Kind.TABLE:
            return read_table(file)
        case Kind.LEGACY if not spec.is_database and file.suffix.lower() == ".json":
            if record := legacy_document(read_json(file)):
                return LegacyConfig(record, spec.passphrase)
    records: Records
    if spec.is_database:
        records = SurrealRecords(
            spec.place, namespace=spec.namespace, database=spec.database, user=spec.user, password=spec.password
        )
    else:
        records = exported(file)
    if spec.kind is Kind.LEGACY:
        return StoredLegacyConfig(records, spec.passphrase)
    return OpenNotebook(records, spec.passphrase)


def _own_records(settings: Settings) -> SurrealRecords:
    return SurrealRecords(
        settings.store_url,
        namespace=settings.database_namespace,
        database=settings.database_name,
        user=settings.database_user,
        password=settings.database_password,
    )


def _own_endpoints(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Our own listener and our own database: never a destination of a provider call."""
    own = [(settings.host, settings.port)]
    if not settings.embedded:
        database = urlsplit(settings.store_url)
        own.append((database.hostname or "", database.port or _PORTS[database.scheme]))
    return tuple(own)


async def _chores(keycairn: Keycairn) -> None:
    """What every start catches up on, beside serving: a rotation that was cut off, secrets that do not open."""
    try:
        if await keycairn.rotation.resume():
            _log.info("finished the key rotation that was under way")
        if broken := await keycairn.accounts.sweep():
            _log.warning("some stored secrets do not open", credentials=broken)
    except KeycairnError as error:
        _log.warning("could not check the stored secrets", code=error.code)


async def _settle(keycairn: Keycairn) -> None:
    try:
        if dropped := await keycairn.root_keys.settle():
            _log.info("the new root key is proven, and the former one opens nothing any more", dropped=dropped)
    except KeycairnError as error:
        _log.warning("the slot of a former root key stays until the next start", code=error.code)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
