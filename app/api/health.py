"""Whether the process lives, whether it can work, and what it did so far."""

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from msgspec import Struct

from keycairn.app.api.auth import Access
from keycairn.app.api.inputs import TheKeycairn
from keycairn.app.api.metrics import Metrics
from keycairn.domain.errors import StoreError

PUBLIC = {"scope": Access.PUBLIC}


class HealthView(Struct, frozen=True, omit_defaults=True):
    """`status` is `ok` or `unavailable`; `reason` says what to do about it."""

    status: str
    reason: str = ""
    code: str = ""


class HealthController(Controller):
    """Probes for orchestrators, open to everyone, and metrics for those with a token."""

    path = "/"
    tags = ("Health",)

    @get("/health/live", opt=PUBLIC, summary="Is the process alive?")
    async def live(self) -> HealthView:
        """Always 200 while the process serves at all."""
        return HealthView("ok")

    @get("/health/ready", opt=PUBLIC, summary="Can it serve?")
    async def ready(self, keycairn: TheKeycairn) -> Response[HealthView]:
        """200 when the vault is open and the database answers, else 503 with the reason."""
        if why := keycairn.vault.why_sealed:
            return Response(HealthView("unavailable", why, "sealed"), status_code=503)
        try:
            await keycairn.store.ping()
        except StoreError as error:
            return Response(HealthView("unavailable", str(error), error.code), status_code=503)
        return Response(HealthView("ok"))

    @get("/metrics", opt={"scope": Access.ANY_TOKEN}, media_type="text/plain; version=0.0.4", summary="Metrics")
    async def metrics(self, meter: NamedDependency[Metrics]) -> bytes:
        """Counters in Prometheus' text format."""
        return meter.text()
