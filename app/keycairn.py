"""Keycairn itself: the services, put together from the ports."""

from collections.abc import Callable
from pathlib import Path

from keycairn.app.gateway import Gateway
from keycairn.app.services.access import Attempts, Sessions, TokenChanges, Tokens
from keycairn.app.services.audit import AuditCounters, AuditLog, AuditWatch, Deletions, Journal, RecordProofs, Retention
from keycairn.app.services.backups import Backups
from keycairn.app.services.credentials import CredentialOpener, Credentials, CredentialSealer, EnvExport, Provisioning
from keycairn.app.services.doctor import Checkup, Repair, Replay
from keycairn.app.services.imports import EnvironmentAccounts, Importer, RowMapper
from keycairn.app.services.key_rotations import KeyRotations
from keycairn.app.services.keys import RetiredKeys, RootKeys, Rotation, Vault
from keycairn.app.services.models import Models, Probing, Proving
from keycairn.app.sources import SourceSpec
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.environment import Environment
from keycairn.ports.http import Http
from keycairn.ports.keyset import KeysetOpener
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.source import ImportSource, LegacyConfigs
from keycairn.ports.spool import Spools
from keycairn.ports.store import Store
from keycairn.ports.tracing import Tracing
from keycairn.ports.upstream import Upstream
from keycairn.ports.websocket import Websockets


class Keycairn:
    """All services over one store. Built from ports only; `keycairn.app.wiring` supplies the real ones."""

    def __init__(  # noqa: PLR0913  # one argument for each port
        self,
        *,
        store: Store,
        opener: KeysetOpener,
        registry: ProviderRegistry,
        http: Http,
        environment: Environment,
        clock: Clock,
        ids: Ids,
        admin_token: Secret | None = None,
        upstream: Upstream | None = None,
        websockets: Websockets | None = None,
        tracing: Tracing | None = None,
        spools: Spools | None = None,
        legacy: LegacyConfigs | None = None,
        backup_dir: Path | None = None,
        data_folder_kept: bool = True,
        root_key_beside_data: bool = False,
        open_source: Callable[[SourceSpec], ImportSource] | None = None,
    ) -> None:
        self.open_source = open_source
        """Opens a file of somebody else; None where none can be opened."""
        self.data_folder_kept = data_folder_kept
        self.root_key_beside_data = root_key_beside_data
        self.journal: Journal = Journal(store, clock, ids)
        self.record_proofs: RecordProofs = RecordProofs(store, self.journal)
        self.audit: AuditLog = AuditLog(store, self.journal, self.record_proofs)
        self.audit_watch: AuditWatch = AuditWatch(self.audit, clock)
        self.retention: Retention = Retention(store, self.journal, self.audit, clock)
        self.audit_counters: AuditCounters = AuditCounters(self.journal, clock)
        self.store = store
        self.backups: Backups = Backups(store, self.journal, clock, backup_dir)
        self.clock = clock
        self.legacy = legacy
        self.registry = registry
        self.vault: Vault = Vault(store, opener, clock, self.journal, self.record_proofs)
        self.credential_opener: CredentialOpener = CredentialOpener(
            store, self.vault, registry, self.journal, self.audit_counters
        )
        sealer = CredentialSealer(self.vault, registry, http)
        self.credentials: Credentials = Credentials(
            store, sealer, registry, self.credential_opener, http, clock, ids, self.journal
        )
        mapper = RowMapper(registry, sealer)
        self.importer: Importer = Importer(store, mapper, Deletions(store), self.vault, self.journal, clock)
        self.environment: EnvironmentAccounts = EnvironmentAccounts(
            store, registry, environment, self.vault, self.importer
        )
        self.probing: Probing = Probing(
            store, registry, self.credential_opener, http, clock, ids, self.journal, environment
        )
        self.proving: Proving = Proving(self.credentials, self.probing)
        self.models: Models = Models(store, registry, clock, ids, self.journal)
        self.provisioning: Provisioning = Provisioning(store, registry, self.credential_opener)
        self.env_export: EnvExport = EnvExport(store, registry, self.credential_opener, self.journal)
        self.rotation: Rotation = Rotation(store, self.vault, registry, self.journal)
        self.key_rotations: KeyRotations = KeyRotations(store, self.vault, registry, http, clock, ids, self.journal)
        self.root_keys: RootKeys = RootKeys(store, self.vault, opener, self.rotation, self.journal, clock)
        self.retired_keys: RetiredKeys = RetiredKeys(
            store, self.vault, registry, self.rotation, self.backups, self.journal, clock
        )
        self.checkup: Checkup = Checkup(
            store, self.vault, self.credential_opener, registry, self.rotation, self.audit, self.key_rotations, clock
        )
        self.replay: Replay = Replay(store, self.journal)
        self.repair: Repair = Repair(
            store, self.checkup, self.backups, self.credential_opener, self.rotation, self.journal, clock
        )
        self.tokens: Tokens = Tokens(
            store, self.vault, clock, ids, self.journal, self.audit_counters, registry, admin_token
        )
        self.token_changes: TokenChanges = TokenChanges(store, registry, self.tokens, clock, self.journal)
        self.sessions: Sessions = Sessions(store, self.vault, self.tokens, clock, ids, self.journal)
        self.attempts: Attempts = Attempts(clock.monotonic)
        """Failed attempts by address, at every door."""
        self.gateway: Gateway | None = (
            upstream
            if upstream is None
            else Gateway(
                store=store,
                tokens=self.tokens,
                accounts=self.credential_opener,
                vault=self.vault,
                registry=registry,
                upstream=upstream,
                http=http,
                clock=clock,
                attempts=self.attempts,
                audit_counters=self.audit_counters,
                tracing=tracing,
                spools=spools,
                websockets=websockets,
            )
        )
        """Serves calls of models; None where no way out for them was given."""
        if self.gateway is not None:
            self.probing.proven = self.gateway.health.good
