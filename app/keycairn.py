"""Keycairn itself: the services, put together from the ports."""

from collections.abc import Sequence

from keycairn.app.gateway import Gateway
from keycairn.app.services.accounts import Accounts
from keycairn.app.services.credentials import Credentials
from keycairn.app.services.environment import EnvironmentAccounts
from keycairn.app.services.models import Models
from keycairn.app.services.probing import Probing
from keycairn.app.services.provisioning import Provisioning
from keycairn.app.services.record import Recorder
from keycairn.app.services.rotation import Rotation
from keycairn.app.services.tokens import Tokens
from keycairn.app.services.vault import Vault
from keycairn.domain.audit import AuditEvent
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.ids import EventId
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.environment import Environment
from keycairn.ports.http import Http
from keycairn.ports.keyset import KeysetOpener
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import MOST, Store
from keycairn.ports.upstream import Upstream


class Keycairn:
    """All services over one store. Built from ports only; `keycairn.app.wiring` supplies the real ones."""

    def __init__(
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
    ) -> None:
        recorder = Recorder(clock, ids)
        self.store = store
        self.clock = clock
        self.registry = registry
        self.vault = Vault(store, opener, clock, recorder)
        self.accounts = Accounts(store, self.vault, registry, recorder)
        self.credentials = Credentials(store, self.vault, registry, self.accounts, http, clock, ids, recorder)
        self.environment = EnvironmentAccounts(store, registry, environment, self.credentials, clock, recorder)
        self.probing = Probing(store, registry, self.accounts, http, clock, ids, recorder)
        self.models = Models(store, registry, clock, ids, recorder)
        self.provisioning = Provisioning(store, registry, self.accounts)
        self.rotation = Rotation(store, self.vault, opener, registry, recorder)
        self.tokens = Tokens(store, self.vault, clock, ids, recorder, admin_token)
        self.gateway = (
            upstream
            if upstream is None
            else Gateway(
                store=store,
                tokens=self.tokens,
                accounts=self.accounts,
                registry=registry,
                upstream=upstream,
                http=http,
                clock=clock,
            )
        )
        """Serves calls of models; None where no way out for them was given."""

    async def events(
        self, *, after: EventId | None = None, limit: int = MOST, workspace: str = DEFAULT_WORKSPACE
    ) -> Sequence[AuditEvent]:
        """A page of audit events, oldest first."""
        return await self.store.events(workspace, after=after, limit=limit)
