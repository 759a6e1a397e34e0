"""What nearly every provider shares: a model list proves the key, and a model is tried by its type."""

from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from keycairn.domain.errors import (
    GarbledAnswerError,
    InvalidAuthError,
    ModelGoneError,
    NoPermissionError,
    ProviderError,
    RateLimitedError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, ModelReport, Outcome, Provenance
from keycairn.domain.provider import Account, FieldKind, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import refuses_key
from keycairn.ports.http import JSON_HEADERS, Http, Request, Response

MODEL_DEADLINE = 60.0
"""Seconds a tried model may take: a local server may have to load it first."""
MOST_PAGES = 20
"""The most pages of a model list that are read."""
NO_MODEL = "keycairn-key-check"
"""A model that no provider has: a call of it costs nothing, and only who takes the key says that it is not there."""
_NAMED = 3
_FLOAT = 4
"""Bytes of a number in a base64 embedding."""

_PROBED = (Modality.LANGUAGE, Modality.EMBEDDING, Modality.TEXT_TO_SPEECH, Modality.SPEECH_TO_TEXT)

Headers = Mapping[str, str | Secret]


class ListedProvider(ABC):
    """A provider that lists its models to whoever holds a good key.

    A subclass says how to list, how to authorize, and how to try a model of each type it declares. `proves_by` is what
    its first proof does, as it is said of a key that may not.
    """

    proves_by = "list models"

    def __init__(self, spec: ProviderSpec, *, client_name: str | None = None) -> None:
        self.spec = spec
        self._client_name = client_name or spec.name.replace("_", "-")

    @property
    def client_name(self) -> str:
        """The provider's name in esperanto."""
        return self._client_name

    @abstractmethod
    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """The models the provider lists just now. Raises ProviderError."""

    @abstractmethod
    def headers(self, account: Account, type: Modality | None = None) -> Headers:
        """The headers that authorize a call. Raises InvalidAuthError when there is no usable key."""

    @abstractmethod
    def base_url(self, account: Account, type: Modality | None = None) -> str:
        """The base URL of the provider's API for calls of that type, without a trailing slash."""

    async def discover(self, account: Account, http: Http) -> Discovery:
        """The models the account can use."""
        return Discovery(models=await self.list_models(account, http))

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """Prove the key by what costs nothing, or, where it may not do that, by a small call. Raises ProviderError."""
        try:
            return await self.first_proof(account, http)
        except NoPermissionError as refused:
            lacking = f"The key may not {self.proves_by}"
            try:
                await self.prove_by_call(account, http)
            except InvalidAuthError:
                raise
            except ProviderError as error:
                why = f"{lacking}, and a small call with it proved nothing more: {error}"
                raise NoPermissionError(why, status=refused.status) from None
        message = f"The key works for calls, but {lacking.removeprefix('The key ')}. Register models by name."
        return ConnectionReport(outcome=Outcome.NO_PERMISSION, message=message, proven=True)

    async def first_proof(self, account: Account, http: Http) -> ConnectionReport:
        """Prove the key without a call of a model: here by listing models. Raises ProviderError."""
        return self.report(account, await self.list_models(account, http))

    async def prove_by_call(self, account: Account, http: Http) -> None:
        """Prove the key by a small call of a model. Raises ProviderError where that does not prove it."""
        type, name = self.probe(account)
        with suppress(ModelGoneError, RateLimitedError):  # only who takes the key says so
            await self.try_model(account, name, type, http)

    def probe(self, account: Account) -> tuple[Modality, str]:  # noqa: ARG002  # for subclasses
        """The type and the name of the model that proves a key by a call."""
        return next(type for type in _PROBED if type in self.spec.modalities), NO_MODEL

    async def try_model(self, account: Account, name: str, type: Modality, http: Http) -> ModelReport:
        """One small real call of the model. Raises ProviderError, also for a type the provider does not have."""
        tries = {
            Modality.LANGUAGE: self.try_language,
            Modality.EMBEDDING: self.try_embedding,
            Modality.SPEECH_TO_TEXT: self.try_listening,
            Modality.TEXT_TO_SPEECH: self.try_speaking,
        }
        if type not in self.spec.modalities:
            raise ProviderError(f"{self.spec.label} has no models of the type {type}.")
        details = await tries[type](account, name, http)
        return ModelReport(outcome=Outcome.OK, message="The model answered.", details=details)

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A chat of one greeting; what it showed."""
        raise NotImplementedError

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding; its dimensions."""
        raise NotImplementedError

    async def try_listening(self, account: Account, name: str, http: Http) -> str:
        """The transcription of half a second of silence; what it showed."""
        raise NotImplementedError

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:
        """A short speech; its size."""
        raise NotImplementedError

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:  # noqa: ARG002  # the port's
        """`request` with the account's headers in place of any it has of the same name."""
        return authorized(request, self.headers(account))

    def refuses_key(self, status: int, body: bytes) -> bool:
        """Whether a refusal of a call says that the key is bad, by the codes providers have for it."""
        return refuses_key(status, body)

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """`api_key` and `base_url`, which nearly every class of esperanto takes."""
        key = account.secret()
        config = {"api_key": key.reveal()} if key else {}
        return {**config, "base_url": self.base_url(account, type)}

    def found(
        self,
        name: str,
        type: Modality | None,
        *,
        description: str = "",
        provenance: Provenance = Provenance.LIVE,
        context_length: int | None = None,
    ) -> DiscoveredModel:
        """A discovered model. A type the provider does not declare is left empty: nothing here could call it."""
        declared = type if type in self.spec.modalities else None
        return DiscoveredModel(
            name=name, type=declared, description=description, provenance=provenance, context_length=context_length
        )

    def report(self, account: Account, models: Iterable[DiscoveredModel]) -> ConnectionReport:
        """A good check. It names models where the account has a URL, so that one sees which server answered."""
        names = tuple(model.name for model in models)
        if not any(account.text(field.name) for field in self.spec.settings if field.kind is FieldKind.URL):
            return ConnectionReport(outcome=Outcome.OK, message="The key works.", models=names)
        if not names:
            return ConnectionReport(outcome=Outcome.OK, message="Connected. The server lists no models.")
        more = f" (+{len(names) - _NAMED} more)" if len(names) > _NAMED else ""
        message = f"Connected. Models found: {', '.join(names[:_NAMED])}{more}."
        return ConnectionReport(outcome=Outcome.OK, message=message, models=names)

    async def post(
        self, http: Http, url: str, body: object, headers: Headers, *, deadline: float = MODEL_DEADLINE
    ) -> Response:
        """The answer to `body` as JSON."""
        return await http.send(
            Request(method="POST", url=url, headers={**JSON_HEADERS, **headers}, body=msgspec.json.encode(body)),
            deadline=deadline,
        )


def authorized(request: Request, headers: Headers) -> Request:
    """`request` with `headers`, which replace its own of the same names in any spelling."""
    taken = {name.lower() for name in headers}
    kept = {name: value for name, value in request.headers.items() if name.lower() not in taken}
    return replace(request, headers={**kept, **headers})


def unique(models: Iterable[DiscoveredModel]) -> tuple[DiscoveredModel, ...]:
    """`models` in their order, each name once, without those no one could register."""
    usable = (model for model in models if model.name.strip() and model.name.isprintable())
    return tuple({model.name: model for model in usable}.values())


def dimensions(vector: list[float] | str, status: int = 200) -> str:
    """What is told of an embedding: numbers, or base64 of 32-bit ones as OpenAI's API gives them when asked to.

    Raises GarbledAnswerError for one that is neither, or empty.
    """
    size = len(vector)
    if isinstance(vector, str):
        try:
            raw = b64decode(vector, validate=True)
        except ValueError:
            raise GarbledAnswerError(status=status) from None
        size = 0 if len(raw) % _FLOAT else len(raw) // _FLOAT
    if not size:
        raise GarbledAnswerError(status=status)
    return f"{size} dimensions"
