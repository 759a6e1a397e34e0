"""An Http that sends for real, keeps what it sent, and cuts deadlines short."""

import ssl

import httpx

from keycairn.domain.errors import CannotConnectError, GarbledAnswerError, ProviderTimeoutError
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.ports.http import Http, Request, Response

_TLS = ssl.create_default_context()  # loading the certificates takes longer than a test


class PlainHttp:
    """The unguarded client of these tests; they send to loopback only."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(trust_env=False, verify=_TLS, headers={"accept-encoding": "identity"})

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        headers = {n: v.reveal() if isinstance(v, Secret) else v for n, v in request.headers.items()}
        try:
            answer = await self._client.request(
                request.method, request.url, headers=headers, content=request.body, timeout=deadline
            )
        except httpx.TimeoutException as error:
            raise ProviderTimeoutError from error
        except httpx.TransportError as error:
            raise CannotConnectError from error
        except httpx.DecodingError as error:
            raise GarbledAnswerError from error
        return Response(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    def vet(self, url: str, *, field: str | None = None) -> None:
        parse_url(url, field=field)

    async def aclose(self) -> None:
        await self._client.aclose()


class RecordingHttp:
    """`inner`, with every request kept in `sent` and no deadline longer than `patience` seconds."""

    def __init__(self, inner: Http, *, patience: float = 5.0) -> None:
        self._inner = inner
        self.patience = patience
        self.sent: list[Request] = []

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        self.sent.append(request)
        return await self._inner.send(request, deadline=min(deadline, self.patience))

    def vet(self, url: str, *, field: str | None = None) -> None:
        self._inner.vet(url, field=field)
