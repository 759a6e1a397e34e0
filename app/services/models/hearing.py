"""Everything a provider or its plugin says, before it is kept, logged or shown."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog
from msgspec.structs import replace

from keycairn.domain.errors import InvalidInputError, KeycairnError, PluginFailedError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, ModelReport, Outcome, Provenance
from keycairn.domain.provider import Account
from keycairn.domain.redaction import WITHHELD, Redactor
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http, Request, Response
from keycairn.ports.tokens import TokenCache

LONGEST_MODEL_NAME = 300
LONGEST_KIND = 80
"""Characters of the name of an exception's type."""

_TYPES, _PROVENANCES = frozenset(Modality), frozenset(Provenance)
_log = structlog.get_logger()
_T = TypeVar("_T")


class Hearing:
    """One call of a provider's plugin with an account: `http` is to be handed to it, and learns what secrets it sends.

    The methods give what the plugin said without the secrets of the call.
    """

    def __init__(self, account: Account, http: Http) -> None:
        self.account = account
        self.http = _Listening(http, self._learn)
        self._redactor = Redactor(account.secrets.values())

    def _learn(self, headers: Mapping[str, str | Secret]) -> None:
        for value in headers.values():
            if isinstance(value, Secret):
                self._redactor = self._redactor.and_also(value.reveal().rpartition(" ")[2])

    async def discovery(self, call: Callable[[], Awaitable[Discovery]]) -> Discovery:
        """The models, without those whose name repeats a secret; a masked name would be a model that is not there."""
        return await self._guarded(call, Discovery, self._discovery)

    async def report(self, call: Callable[[], Awaitable[ConnectionReport]]) -> ConnectionReport:
        """A check's report."""
        return await self._guarded(call, ConnectionReport, self._report)

    async def trial(self, call: Callable[[], Awaitable[ModelReport]]) -> ModelReport:
        """The report of a model that was tried."""
        return await self._guarded(call, ModelReport, self._trial)

    def _discovery(self, found: Discovery) -> Discovery:
        models = tuple(self._model(model) for model in found.models if self._usable(model))
        failure = None if found.failure is None else self._shown(found.failure)
        return Discovery(models=models, failure=failure, withheld=len(found.models) - len(models))

    def _report(self, report: ConnectionReport) -> ConnectionReport:
        names = tuple(name for name in report.models if self._is_name(name))
        return ConnectionReport(outcome=Outcome(report.outcome), message=self._shown(report.message), models=names)

    def _trial(self, report: ModelReport) -> ModelReport:
        return ModelReport(
            outcome=Outcome(report.outcome), message=self._shown(report.message), details=self._shown(report.details)
        )

    def _model(self, model: DiscoveredModel) -> DiscoveredModel:
        return replace(model, description=self._shown(model.description))

    def _usable(self, model: object) -> bool:
        return (
            isinstance(model, DiscoveredModel)
            and self._is_name(model.name)
            and (model.type is None or model.type in _TYPES)
            and model.provenance in _PROVENANCES
        )

    def _is_name(self, name: object) -> bool:
        return isinstance(name, str) and len(name) <= LONGEST_MODEL_NAME and not self._redactor.holds(name)

    def _shown(self, text: object) -> str:
        return self._redactor.masked(text) if isinstance(text, str) else WITHHELD

    async def _guarded(self, call: Callable[[], Awaitable[_T]], type: type[_T], heard: Callable[[_T], _T]) -> _T:
        """What is `heard` of what a plugin's method gives; an exception it should not raise is a PluginFailedError.

        So is one of `heard`: the plugin filled its struct with something else than it declares. The text of either is
        dropped: a stranger's exception may hold the key.
        """
        try:
            given = await call()
            if isinstance(given, type):
                return heard(given)
        except KeycairnError as error:
            raise cleaned(error, self._redactor) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001  # the boundary to third-party code
            raise self._failed(kind_of(error, self._redactor)) from None
        raise self._failed("TypeError")

    def _failed(self, kind: str) -> PluginFailedError:
        _log.warning("provider plugin failed", exception=kind)
        return PluginFailedError(f"The provider plugin failed ({kind}).")


def cleaned(error: KeycairnError, redactor: Redactor) -> KeycairnError:
    """The same error of a plugin; its text, which is the plugin's, without secrets, and nothing that came with it."""
    error.args = (redactor.masked(str(error)),)
    if isinstance(error, InvalidInputError):
        error.fields = {redactor.masked(str(name)): redactor.masked(str(why)) for name, why in error.fields.items()}
    for attribute in ("why", "reason"):
        if (text := getattr(error, attribute, None)) is not None:
            setattr(error, attribute, redactor.masked(str(text)))
    error.__dict__.pop("__notes__", None)
    return error.with_traceback(None)


def kind_of(error: BaseException, redactor: Redactor) -> str:
    """The type of a plugin's exception, which the plugin may have named itself."""
    kind = type(error).__name__
    return kind if kind.isidentifier() and len(kind) <= LONGEST_KIND and not redactor.holds(kind) else "Exception"


class _Listening:
    """An Http that tells `heard` which headers went out."""

    def __init__(self, inner: Http, heard: Callable[[Mapping[str, str | Secret]], None]) -> None:
        self._inner = inner
        self._heard = heard

    @property
    def tokens(self) -> TokenCache:
        """See `Http.tokens`."""
        return self._inner.tokens

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        """See `Http.send`."""
        self._heard(request.headers)
        return await self._inner.send(request, deadline=deadline)

    def vet(self, url: str, *, field: str | None = None) -> None:
        """See `Http.vet`."""
        self._inner.vet(url, field=field)
