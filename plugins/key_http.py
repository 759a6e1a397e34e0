"""The `Http` that manages keys: an administrator's key goes to the origins it is for, and nowhere else."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from keycairn.domain.errors import EgressRefusedError
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.key_rotation.sealing import allowed_origins
from keycairn.domain.provider import Account, FieldKind, ProviderSpec
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.domain.url import origin_of
from keycairn.ports.http import Http, Request, Response
from keycairn.ports.token_cache import TokenCache

MAKE_DEADLINE = 60.0
"""Seconds that one request may take at most: whoever began a creation has to be done before others take it for cut
off."""


class KeyHttp:
    """`inner`, for the origins that the declaration of key management and the settings of `manager` name.

    The account's own key may be sent to those of them only that it is for anyway: the account's, and the provider's
    where the account is at none but the provider's.
    """

    def __init__(self, inner: Http, spec: ProviderSpec, management: KeyManagement, manager: Account) -> None:
        self._inner = inner
        self._origins = allowed_origins(management, manager.settings)
        asked = {field.name for field in management.fields}
        own = _origins_of(spec, manager)
        if all(map(spec.owns, map(_host, own))):
            own |= {one for one in self._origins if spec.owns(_host(one))}
        self._bound = [
            (Redactor([secret]), allowed_origins(management, manager.settings, name) if name in asked else own)
            for name, secret in manager.secrets.items()
            if secret
        ]

    @property
    def tokens(self) -> TokenCache:
        """See `Http.tokens`."""
        return self._inner.tokens

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        """See `Http.send`. Raises EgressRefusedError for another origin."""
        origin = origin_of(request.url)
        if origin not in self._origins:
            raise EgressRefusedError("it is none that manages keys of this account")
        for redactor, origins in self._bound:
            if origin not in origins and _holds(request, redactor):
                raise EgressRefusedError("a secret that manages keys is for another host")
        return await self._inner.send(request, deadline=min(deadline, MAKE_DEADLINE))

    def vet(self, url: str, *, field: str | None = None) -> None:
        """See `Http.vet`."""
        self._inner.vet(url, field=field)


def _host(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _origins_of(spec: ProviderSpec, manager: Account) -> frozenset[str]:
    urls = [manager.text(field.name) for field in spec.settings if field.kind is FieldKind.URL]
    return frozenset(origin_of(url) for url in urls if url)


def _holds(request: Request, redactor: Redactor) -> bool:
    shown = [request.url, *_texts(request.headers)]
    return any(map(redactor.holds, shown)) or (request.body is not None and redactor.within(request.body))


def _texts(headers: Mapping[str, str | Secret]) -> list[str]:
    return [value.reveal() if isinstance(value, Secret) else value for value in headers.values()]
