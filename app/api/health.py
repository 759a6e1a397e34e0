"""Whether the process lives, whether it can work, and what it did so far."""

from collections.abc import Sequence
from contextlib import suppress

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.openapi.spec import SecurityRequirement
from msgspec import Struct

from keycairn.app.keycairn import Keycairn
from keycairn.app.web.auth import Access
from keycairn.app.web.inputs import TheKeycairn
from keycairn.app.web.metrics import Condition, Metrics
from keycairn.domain.errors import BackupFileError, SealedError, StoreError
from keycairn.domain.token import Scope

PUBLIC = {"scope": Access.PUBLIC}
NO_TOKEN: list[SecurityRequirement] = [{}]


class HealthView(Struct, frozen=True):
    """`status` is `ok`; what is not ok is a problem document. By `service` a client knows where a token may go."""

    status: str = "ok"
    service: str = "keycairn"


class HealthController(Controller):
    """Probes for orchestrators, open to everyone, and metrics for those with a token."""

    path = "/"
    tags: Sequence[str] | None = ("Health",)

    @get("/health/live", opt=PUBLIC, security=NO_TOKEN, operation_id="get_liveness", summary="Is the process alive?")
    async def live(self) -> HealthView:
        """Always 200 while the process serves at all."""
        return HealthView()

    @get("/health/ready", opt=PUBLIC, security=NO_TOKEN, operation_id="get_readiness", summary="Can it serve?")
    async def ready(self, keycairn: TheKeycairn) -> HealthView:
        """200 when the vault is open and the database answers and can be written.

        Else 503, `sealed` or `store_unavailable`, or 507 `store_full`.
        """
        if why := keycairn.vault.why_sealed:
            raise SealedError(why)
        await keycairn.store.ping()
        return HealthView()

    @get(
        "/metrics",
        opt={"scope": Scope.AUDIT_READ, "installation": True},
        media_type="text/plain; version=0.0.4",
        operation_id="get_metrics",
        summary="Metrics",
    )
    async def metrics(self, keycairn: TheKeycairn, meter: NamedDependency[Metrics]) -> bytes:
        """Counters and the service's condition in Prometheus' text format."""
        own = await own_metrics(keycairn, meter)
        return own if meter.gather is None else await meter.gather(own)


async def own_metrics(keycairn: Keycairn, meter: Metrics) -> bytes:
    """The page of this process alone."""
    return meter.text(await _condition(keycairn))


async def _condition(keycairn: Keycairn) -> Condition:
    available, kept = True, []
    try:
        await keycairn.store.ping()
    except StoreError:
        available = False
    states, oldest = await keycairn.key_rotations.tally() if available else ({}, 0.0)
    with suppress(BackupFileError):
        kept = keycairn.backups.kept()
    return Condition(
        sealed=keycairn.vault.why_sealed is not None,
        store_available=available,
        unreadable=len(keycairn.store.unreadable()),
        flaws=len(keycairn.audit_watch.flaws),
        newest_backup=kept[-1].taken if kept else None,
        keys=states,
        oldest_key_days=oldest,
    )
