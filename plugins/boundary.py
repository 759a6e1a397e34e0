"""The boundary around a plugin's code: whatever it raises becomes an error of ours, without the secrets of the call."""

import asyncio
import dis
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from itertools import islice
from types import FunctionType
from typing import Any, Generic, TypeVar

import structlog
from msgspec import Struct

from keycairn.domain import errors
from keycairn.domain.errors import (
    EgressRefusedError,
    InvalidInputError,
    KeycairnError,
    PluginFailedError,
    ProviderError,
)
from keycairn.domain.redaction import Redactor

LONGEST_KIND = 80
"""Characters of the name of an exception's type."""
MOST_FIELDS = 100
"""Fields that an error names at most."""

_OWN = tuple(one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, KeycairnError))
_ALLOWED = (ProviderError, InvalidInputError, EgressRefusedError)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_name_of = type.__dict__["__name__"].__get__
"""The name of a type, past whatever its metaclass has in its place."""
_log = structlog.get_logger()
_T = TypeVar("_T")


class UnfitAnswerError(Exception):
    """A plugin's answer is not what its method declares. The text is ours."""


class _Ended(Struct, Generic[_T]):
    """How a plugin's coroutine ended: by a value or by an exception."""

    value: _T | None = None
    error: BaseException | None = None


class Boundary:
    """Calls methods of the plugin that supplies `provider`. `call` also reads the answer, which may be just as faulty.

    `secrets` gives what knows the secrets of the call; it is asked only where something is to be told.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def run(self, method: str, call: Callable[[], _T], secrets: Callable[[], Redactor] | None = None) -> _T:
        """What `call` gives. Raises ProviderError, InvalidInputError or EgressRefusedError.

        Without `secrets` it raises PluginFailedError only: nothing knows what the text of another error may repeat.
        """
        try:
            return call()
        except BaseException as error:  # noqa: BLE001  # no mistake of a plugin ends the service
            caught = error
        if secrets is None and not isinstance(caught, UnfitAnswerError):
            raise self.failed(method, kind_of(caught, Redactor()))
        raise self._ours(method, caught, Redactor() if secrets is None else secrets())

    async def wait(
        self, method: str, call: Callable[[], Awaitable[_T]], secrets: Callable[[], Redactor], *, within: float
    ) -> _T:
        """As `run`, in `within` seconds at most.

        The coroutine runs in a task of its own: one that does not heed its cancellation is left behind.
        """
        task = asyncio.ensure_future(_ended(call))
        try:
            await asyncio.sleep(0)  # most answer at once, which saves the wait
            if not task.done():
                await asyncio.wait({task}, timeout=within)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_seen)
        if not task.done():
            raise self.failed(method, f"it took longer than {within:g} seconds")
        if task.cancelled() or task.exception() is not None:
            raise self.failed(method, "it was cancelled")
        ended = task.result()
        if ended.error is not None:
            raise self._ours(method, ended.error, secrets())
        return ended.value  # type: ignore[return-value]  # without an error there is a value

    def failed(self, method: str, why: str) -> PluginFailedError:
        """The error that says so, which is logged too."""
        _log.warning("provider plugin failed", provider=self._provider, method=method, exception=why)
        return PluginFailedError(why)

    def _ours(self, method: str, error: BaseException, redactor: Redactor) -> KeycairnError:
        if isinstance(error, UnfitAnswerError):
            return self.failed(method, redactor.masked(str(error)))
        if isinstance(error, _ALLOWED):
            return cleaned(error, redactor)
        return self.failed(method, kind_of(error, redactor))


def cleaned(error: KeycairnError, redactor: Redactor) -> KeycairnError:
    """An error of a plugin as the nearest one of ours; of what it carries only what ours declares, without secrets."""
    own = next(one for one in type(error).__mro__ if one in _OWN)
    ours: KeycairnError = own.__new__(own, _said(error, redactor))
    held = vars(error)
    code = type(error).code
    if isinstance(code, str) and _CODE.fullmatch(code) and not redactor.holds(code):
        vars(ours)["code"] = code
    if isinstance(ours, ProviderError):
        status = held.get("status")
        ours.status = status if isinstance(status, int) and 100 <= status < 600 else None
        if "retry_after" in held:
            vars(ours)["retry_after"] = _seconds(held["retry_after"])
    if isinstance(ours, InvalidInputError):
        ours.fields = _fields(held.get("fields"), redactor)
    for name in ("why", "reason"):
        if name in held:
            vars(ours)[name] = shown(held[name], redactor)
    return ours


def kind_of(error: BaseException, redactor: Redactor) -> str:
    """The type of a plugin's exception, which the plugin may have named itself."""
    kind: str = _name_of(type(error))
    return kind if kind.isidentifier() and len(kind) <= LONGEST_KIND and not redactor.holds(kind) else "Exception"


def shown(text: object, redactor: Redactor) -> str:
    """A plugin's text, fit to be kept and shown: without secrets, control characters and what is no Unicode."""
    if not isinstance(text, str):
        text = ""
    plain = str.__str__(text).encode("utf-8", "replace").decode()
    masked = redactor.masked(plain)
    return masked if masked.isprintable() else "".join(one if one.isprintable() else " " for one in masked)


def _said(error: KeycairnError, redactor: Redactor) -> str:
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  # a plugin's own `__str__`
        text = ""
    return shown(text, redactor) if text.strip() else "The provider plugin gives no reason."


def _seconds(given: object) -> float | None:
    usable = isinstance(given, int | float) and math.isfinite(given) and given >= 0
    return float(given) if usable else None  # type: ignore[arg-type]  # it is a number


def _fields(given: object, redactor: Redactor) -> dict[str, str]:
    if not isinstance(given, Mapping):
        return {}
    return {shown(name, redactor): shown(why, redactor) for name, why in islice(given.items(), MOST_FIELDS)}


def ends_at_once(method: object) -> bool:
    """Whether what an async method gives ends at its first step, because nothing in it awaits.

    Only a plain method is looked into: of anything else nobody knows.
    """
    function = getattr(method, "__func__", method)
    if not isinstance(function, FunctionType) or not inspect.iscoroutinefunction(function):
        return False
    return all(step.opname != "GET_AWAITABLE" for step in dis.get_instructions(function))


def at_once(running: Coroutine[Any, Any, _T]) -> _T:
    """What a coroutine gives that ends at its first step, without a task of its own."""
    try:
        running.send(None)
    except StopIteration as ended:
        value: _T = ended.value
        return value
    running.close()
    raise UnfitAnswerError("it waits, though nothing in it awaits")


async def _ended(call: Callable[[], Awaitable[_T]]) -> _Ended[_T]:
    # An exception that a task ends with is logged with its text, or ends the loop.
    try:
        return _Ended(value=await call())
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001  # no mistake of a plugin ends the service
        return _Ended(error=error)


def _seen(task: "asyncio.Task[_Ended[_T]]") -> None:
    if not task.cancelled():
        task.exception()
