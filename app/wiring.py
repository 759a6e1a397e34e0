"""The composition root: the only file that names adapters."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.clock import SystemClock
from keycairn.adapters.environment import ProcessEnvironment, read_env_file
from keycairn.adapters.file_spool import FileSpools
from keycairn.adapters.guarded_http import GuardedHttp, Trust
from keycairn.adapters.httptools_upstream import HttptoolsUpstream, WayOut
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.imports.env_source import EnvSource
from keycairn.adapters.imports.exported import exported, read_json
from keycairn.adapters.imports.legacy import LegacyConfig, legacy_document
from keycairn.adapters.imports.legacy_configs import NotebookLegacy, StoredLegacyConfig
from keycairn.adapters.imports.litellm import LiteLlmConfig, read_yaml
from keycairn.adapters.imports.open_notebook import OpenNotebook, Records
from keycairn.adapters.imports.surreal_records import SurrealRecords
from keycairn.adapters.imports.table import read_table
from keycairn.adapters.surreal import missing_store, open_surreal
from keycairn.adapters.surreal.lock import FolderLock
from keycairn.adapters.websockets_upstream import WebsocketsUpstream
from keycairn.app.background import background_tasks
from keycairn.app.data_folder import ANCHOR_FILE, forget_first_token, make_private, note_database, traces
from keycairn.app.first_run import FirstRun, begin, check_meant, unlock, untouched
from keycairn.app.keycairn import Keycairn
from keycairn.app.settings import DEFAULT_ENV_FILE, Settings
from keycairn.app.sources import Kind, SourceSpec
from keycairn.app.text_files import text_of
from keycairn.app.volume import is_kept
from keycairn.domain.authorities import certificates_in
from keycairn.domain.egress import EgressPolicy, parse_allow
from keycairn.domain.environment import Place
from keycairn.domain.errors import InvalidInputError, SettingsError
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.keyset import KeysetOpener
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.source import ImportSource
from keycairn.ports.store import Store
from keycairn.ports.tracing import Tracing

_PORTS = {"ws": 80, "wss": 443}

_log = structlog.get_logger()


@asynccontextmanager
async def open_keycairn(
    settings: Settings | None = None, *, registry: ProviderRegistry | None = None
) -> AsyncIterator[Keycairn]:
    """Keycairn in this process, without HTTP. Closes the database and the outgoing connections at the end.

    A wrong or missing root key leaves it open but sealed; see `Keycairn.vault`. Raises SettingsError, StoreLockedError,
    DataFolderError, StoreUnavailableError, or DatabaseMissingError where there was a database and is none.
    """
    async with open_with_first_run(settings or Settings(), registry=registry) as (keycairn, _):
        yield keycairn


@asynccontextmanager
async def open_with_first_run(
    settings: Settings,
    *,
    registry: ProviderRegistry | None = None,
    new_database: bool = False,
    accept: bool = False,
    worker: int | None = None,
    beside: bool = True,
) -> AsyncIterator[tuple[Keycairn, FirstRun]]:
    """As `open_keycairn`, with what was made for the first time.

    `new_database`: where the data folder had a database and has none, begin with an empty one. `accept` takes the
    records for what they must be, as far as their own proofs hold. A `worker`, by its number, shares the data folder
    with others, and their supervisor holds it. `beside`: whether the work that goes on beside serving is done.
    """
    policy = EgressPolicy(
        strict=settings.egress_policy == "strict",
        allow=parse_allow(settings.egress_allow),
        own=_own_endpoints(settings),
    )
    async with AsyncExitStack() as stack:
        if worker is None:
            stack.enter_context(locked_data_folder(settings))
        trust = Trust(_authorities("EGRESS_CA_FILE", settings.egress_ca_file))
        http = GuardedHttp(policy, trust=trust, proxy=settings.egress_proxy)
        stack.push_async_callback(http.aclose)
        way = WayOut(policy, trust=trust, proxy=settings.egress_proxy)
        upstream = HttptoolsUpstream(way)
        stack.push_async_callback(upstream.aclose)
        spools = FileSpools(settings.data_dir)
        stack.callback(spools.close)
        providers = registry or provider_registry(settings)

        def assembled(store: Store) -> Keycairn:
            return Keycairn(
                store=store,
                opener=keyset_opener(),
                registry=providers,
                http=http,
                environment=ProcessEnvironment(settings.env_file, expected=settings.env_file != DEFAULT_ENV_FILE),
                clock=system_clock(),
                ids=ulids(),
                admin_token=settings.admin_token,
                backup_dir=settings.safety_dir,
                data_folder_kept=settings.in_memory or is_kept(settings.data_dir),
                root_key_beside_data=settings.root_key is None and settings.embedded and not settings.in_memory,
                upstream=upstream,
                websockets=WebsocketsUpstream(way),
                tracing=_tracing(),
                spools=spools,
                open_source=open_source,
                legacy=NotebookLegacy(None if settings.embedded else _own_records(settings)),
            )

        async def fill(store: Store) -> None:
            await begin(assembled(store), settings)

        if (missing := missing_database(settings)) is not None:
            check_meant(settings, missing, new_database=new_database)
        had_one = not settings.in_memory and any(traces(settings))  # before opening leaves traces of its own
        store = await open_store(settings, anew=new_database, fill=fill, worker=worker or 0)
        stack.push_async_callback(store.aclose)
        keycairn = assembled(store)
        if had_one and await untouched(keycairn):
            check_meant(settings, settings.store_url, new_database=new_database)
        flaw = await keycairn.audit.compare()
        if flaw is not None:
            _log.error("the database is not as it was left", detail=flaw.detail)
        first_run = await unlock(keycairn, settings, accept=accept)
        if settings.in_memory and first_run.token_file is not None:
            stack.callback(forget_first_token, settings.data_dir)
        if keycairn.vault.why_sealed is None:
            note_database(settings)
            if flaw is not None:
                await keycairn.audit.record(flaw)
            await stack.enter_async_context(background_tasks(keycairn, settings, beside=beside))
        yield keycairn, first_run


def _tracing() -> Tracing | None:
    """OpenTelemetry's, where its API is installed (`keycairn[otel]`)."""
    try:
        from keycairn.adapters.otel import OpenTelemetryTracing  # noqa: PLC0415  # only where it is there
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        return None
    return OpenTelemetryTracing()


@contextmanager
def locked_data_folder(settings: Settings) -> Iterator[None]:
    """A context in which the data folder is there, and this process's own. Raises SettingsError or StoreLockedError.

    Those whose database is in memory may share it.
    """
    make_private(settings.data_dir)
    lock = FolderLock(settings.data_dir, shared=settings.in_memory)
    try:
        yield
    finally:
        lock.release()


def missing_database(settings: Settings) -> str | None:
    """The place of the database, where it is a folder and no database is in it. Raises StoreError."""
    missing = missing_store(settings.store_url)
    return None if missing is None else str(missing)


async def open_store(
    settings: Settings,
    *,
    anew: bool = False,
    accept: bool = False,
    fill: Callable[[Store], Awaitable[None]] | None = None,
    worker: int = 0,
) -> Store:
    """The database alone. Raises as `open_keycairn`.

    `anew` makes a new one where there was one that is gone, `accept` goes on with another than the redo log knows.
    `fill` puts into a new one in a folder what it begins with.
    """
    return await open_surreal(
        settings.store_url,
        namespace=settings.database_namespace,
        database=settings.database_name,
        user=settings.database_user,
        password=settings.database_password,
        authorities=_authorities("DATABASE_CA_FILE", settings.database_ca_file),
        anchor_file=None if settings.in_memory else settings.data_dir / ANCHOR_FILE,
        anew=anew,
        accept=accept,
        fill=fill,
        worker=worker,
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


def open_source(spec: SourceSpec) -> ImportSource:
    """The source that `spec` names. Raises UnreadableSourceError, or SettingsError for a .env file."""
    file = Path(spec.place)
    match spec.kind:
        case Kind.ENV:
            return EnvSource([Place(str(file), read_env_file(file))], spec.specs, anyway=spec.anyway)
        case Kind.LITELLM:
            variables = ProcessEnvironment(spec.env_file).variables()
            return LiteLlmConfig(read_yaml(file), variables, spec.specs, spec.allowed, anyway=spec.anyway)
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
        authorities=_authorities("DATABASE_CA_FILE", settings.database_ca_file),
    )


def _authorities(name: str, file: Path | None) -> str:
    """The certificates in the file of the setting, "" without one. Raises SettingsError."""
    if file is None:
        return ""
    try:
        return certificates_in(text_of(file, f"KEYCAIRN_{name}"))
    except InvalidInputError as error:
        raise SettingsError(f"KEYCAIRN_{name} names {file}. {error}") from None


def _own_endpoints(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Our own listener and our own database: never a destination of a provider call."""
    own = [(settings.host, settings.port)]
    if not settings.embedded:
        database = urlsplit(settings.store_url)
        own.append((database.hostname or "", database.port or _PORTS[database.scheme]))
    return tuple(own)
