"""The `Http` that manages keys: each secret that is known goes to the origins it is for, and nowhere else."""

from collections.abc import Iterable, Mapping

from keycairn.domain.errors import EgressRefusedError
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.key_rotation.binding import key_origins
from keycairn.domain.key_rotation.sealing import allowed_origins
from keycairn.domain.provider import Account, ProviderSpec
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

    The account's own key may be sent to those of them only that it is for: see `key_origins`. `handed` are the other
    secrets of the call, each with the origins that it may be sent to; None: those of the account's own key.
    """

    def __init__(
        self,
        inner: Http,
        spec: ProviderSpec,
        management: KeyManagement,
        manager: Account,
        handed: Iterable[tuple[Secret, frozenset[str] | None]] = (),
    ) -> None:
        self._inner = inner
        self._origins = allowed_origins(management, manager.settings)
        asked = {field.name for field in management.fields}
        own = key_origins(spec, management, manager.settings, manager.confirmed)
        bound = [
            (secret, allowed_origins(management, manager.settings, name) if name in asked else own)
            for name, secret in manager.secrets.items()
        ]
        bound += [(secret, own if origins is None else origins) for secret, origins in handed]
        self._bound = [(Redactor([secret]), origins) for secret, origins in bound if secret]

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


def _holds(request: Request, redactor: Redactor) -> bool:
    shown = [request.url, *_texts(request.headers)]
    return any(map(redactor.holds, shown)) or (request.body is not None and redactor.within(request.body))


def _texts(headers: Mapping[str, str | Secret]) -> list[str]:
    return [value.reveal() if isinstance(value, Secret) else value for value in headers.values()]
