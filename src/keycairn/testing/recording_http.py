"""An Http that keeps what it sent, and cuts deadlines short."""

from keycairn.ports.http import Http, Request, Response
from keycairn.ports.token_cache import TokenCache


class RecordingHttp:
    """`inner`, with every request kept in `sent` and no deadline longer than `patience` seconds."""

    def __init__(self, inner: Http, *, patience: float = 5.0) -> None:
        self._inner = inner
        self.patience = patience
        self.sent: list[Request] = []

    @property
    def tokens(self) -> TokenCache:
        """The inner one's."""
        return self._inner.tokens

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        """As the inner one."""
        self.sent.append(request)
        return await self._inner.send(request, deadline=min(deadline, self.patience))

    def vet(self, url: str, *, field: str | None = None) -> None:
        """As the inner one."""
        self._inner.vet(url, field=field)
