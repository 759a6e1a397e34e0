"""Finding, loading and vetting provider plugins."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from traceback import extract_tb
from typing import Any, Generic, TypeVar, cast

import pluggy
from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.errors import PluginError, UnknownProviderError
from keycairn.domain.provider import ProviderSpec, canonical_name, spec_faults
from keycairn.plugins import hookspecs, providers
from keycairn.plugins.aliased import AliasedProvider
from keycairn.ports.provider import PluginStatus, Provider

TIME_LIMIT = 5.0
"""Seconds a plugin may take to import, and again for each of its hooks."""
LONGEST_NAME = 100
"""Characters of a name that is told of a plugin that fails."""
BUILT_IN = "built-in"

_BEHAVIOUR = ("discover", "check", "try_model", "authorize", "base_url", "client_config")
_T = TypeVar("_T")


class Found(Struct, frozen=True):
    """A plugin that was found: `load` imports it."""

    name: str
    origin: str
    load: Callable[[], object]


class PluginRegistry:
    """The providers of the built-in plugin and, unless `external` is False, of every installed one.

    A plugin that cannot be used is reported by `plugins()` with the reason; the others are not disturbed. `found` takes
    the place of the installed entry points; `time_limit` is in seconds, for an import and for each hook call.
    """

    def __init__(
        self, *, external: bool = True, found: Iterable[EntryPoint] | None = None, time_limit: float = TIME_LIMIT
    ) -> None:
        self._time_limit = time_limit
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._providers: dict[str, Provider] = {}
        self._statuses: dict[str, PluginStatus] = {}
        candidates = [Found(hookspecs.PROJECT, BUILT_IN, lambda: providers)]
        if external:
            points = entry_points(group=hookspecs.ENTRY_POINTS) if found is None else found
            candidates += sorted((_found(point) for point in points), key=lambda one: (one.name, one.origin))
        for candidate in candidates:
            self._take(candidate)
        for name in [name for name, status in self._statuses.items() if status.failure is None]:
            self._take_aliases(name)

    def get(self, name: str) -> Provider:
        """The provider of that name, hyphens and underscores, upper and lower case alike."""
        provider = self._providers.get(canonical_name(name))
        if provider is None:
            raise UnknownProviderError
        return provider

    def all(self) -> Sequence[Provider]:
        """Every provider, built-in ones first, in declaration order."""
        return tuple(self._providers.values())

    def plugins(self) -> Sequence[PluginStatus]:
        """Every plugin that was found, those that failed to load included."""
        return tuple(self._statuses.values())

    def check_pending(self) -> None:
        """Raise PluginError when an implementation without a hook is registered."""
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"A hook is unknown: {error}") from None

    def _take(self, candidate: Found) -> None:
        name = candidate.name
        if name in self._statuses:
            name = f"{candidate.name} ({candidate.origin})"
        status = PluginStatus(name=name, origin=candidate.origin)
        try:
            plugin = _in_time(candidate.load, self._time_limit, "its import")
            self._register(plugin, name)
            supplied = self._collect(name)
        except PluginError as error:
            self._drop(name)
            self._statuses[name] = replace(status, failure=str(error))
            return
        self._providers.update(supplied)
        self._statuses[name] = replace(status, providers=tuple(supplied), api_version=hookspecs.API_VERSION)

    def _register(self, plugin: object, name: str) -> None:
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"It does not fit the hooks: {error}") from None
        except Exception as error:  # noqa: BLE001  # registering reads the attributes of a stranger's object
            raise PluginError(f"Registering it failed: {_where(error)}") from None
        if not self._manager.get_hookcallers(plugin):
            raise PluginError("It implements no hook.")

    def _drop(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)

    def _hook(self, hook: str, name: str) -> pluggy.HookCaller:
        others = [plugin for other, plugin in self._manager.list_name_plugin() if other != name]
        return self._manager.subset_hook_caller(hook, others)

    def _collect(self, name: str) -> dict[str, Provider]:
        caller = self._hook("keycairn_providers", name)
        call = f"its hook {caller.name}"
        offered = _in_time(lambda: [vetted(one) for batch in caller() for one in batch], self._time_limit, call)
        supplied: dict[str, Provider] = {}
        for spec, provider in offered:
            if spec.name in self._providers or spec.name in supplied:
                raise PluginError(f"Another provider is named {spec.name!r} already.")
            supplied[spec.name] = provider
        return supplied

    def _take_aliases(self, name: str) -> None:
        caller = self._hook("keycairn_env_aliases", name)
        if not any(impl.plugin_name == name for impl in caller.get_hookimpls()):
            return
        specs = {provider: self._providers[provider].spec for provider in self._providers}
        try:
            merged = _in_time(
                lambda: {spec.name: _with_aliases(spec, caller(provider=spec.name)) for spec in specs.values()},
                self._time_limit,
                f"its hook {caller.name}",
            )
        except PluginError as error:
            self._withdraw(name, str(error))
            return
        for provider, spec in merged.items():
            if spec is not specs[provider]:
                self._providers[provider] = AliasedProvider(self._providers[provider], spec)

    def _withdraw(self, name: str, failure: str) -> None:
        status = self._statuses[name]
        for provider in status.providers:
            del self._providers[provider]
        self._drop(name)
        self._statuses[name] = PluginStatus(name=name, origin=status.origin, failure=failure)


def _found(point: EntryPoint) -> Found:
    origin = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
    return Found(point.name, origin, point.load)


def vetted(provider: Any) -> tuple[ProviderSpec, Provider]:
    """`provider` and its spec. Raises PluginError, which says what is wrong with them."""
    kind = type(provider).__name__
    spec = getattr(provider, "spec", None)
    if not isinstance(spec, ProviderSpec):
        raise PluginError(f"A provider ({kind}) has no spec of type ProviderSpec.")
    lacking = [method for method in _BEHAVIOUR if not callable(getattr(provider, method, None))]
    if not isinstance(getattr(provider, "client_name", None), str):
        lacking.append("client_name")
    if lacking:
        raise PluginError(f"The provider {spec.name!r} lacks: {', '.join(lacking)}.")
    if spec.api_version != hookspecs.API_VERSION:
        raise PluginError(
            f"The provider {spec.name!r} is written for API version {spec.api_version}; "
            f"this Keycairn has version {hookspecs.API_VERSION}."
        )
    faults = list(spec_faults(spec))
    if faults:
        raise PluginError(f"The provider {spec.name!r} is declared wrongly: {'; '.join(faults)}.")
    return spec, cast("Provider", provider)


def _with_aliases(spec: ProviderSpec, answers: Iterable[Mapping[str, Sequence[str]]]) -> ProviderSpec:
    for answer in answers:
        for field, variables in answer.items():
            if spec.field(field) is None:
                raise PluginError(f"It names variables for a field {spec.name} does not have: {field!r}.")
            if isinstance(variables, str) or not all(isinstance(one, str) and one for one in variables):
                raise PluginError(f"Its variables for the field {field!r} of {spec.name} are no sequence of names.")
            fields = tuple(
                replace(one, env=tuple(dict.fromkeys((*one.env, *variables)))) if one.name == field else one
                for one in spec.fields
            )
            spec = replace(spec, fields=fields)
    return spec


class _Box(Generic[_T]):
    """What came out of a thread."""

    def __init__(self) -> None:
        self.values: list[_T] = []
        self.failure: str | None = None


def _in_time(call: Callable[[], _T], limit: float, what: str) -> _T:
    """What `call` gives, within `limit` seconds; raises PluginError.

    It runs in a daemon thread: one that hangs is left behind and does not keep the process from ending.
    """
    box: _Box[_T] = _Box()

    def run() -> None:
        try:
            box.values.append(call())
        except PluginError as error:
            box.failure = str(error)
        except BaseException as error:  # noqa: BLE001  # a plugin may even call sys.exit while it is imported
            box.failure = f"{what[0].upper()}{what[1:]} failed: {_where(error)}"

    thread = threading.Thread(target=run, name="keycairn-plugin", daemon=True)
    thread.start()
    thread.join(limit)
    if box.failure is not None:
        raise PluginError(box.failure)
    if not box.values:
        raise PluginError(f"{what[0].upper()}{what[1:]} took longer than {limit:g} seconds.")
    return box.values[0]


def _where(error: BaseException) -> str:
    """Type and place of an exception, and what an import missed. Its text may quote the environment."""
    kind = _word(type(error).__name__) or "Exception"
    if isinstance(error, ImportError) and (missing := _missing(error)):
        return f"{kind}: {missing}"
    frames = extract_tb(error.__traceback__)
    return f"{kind} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else kind


def _missing(error: ImportError) -> str:
    """What an import did not find, said in words of ours."""
    module, name = _word(error.name), _word(getattr(error, "name_from", None))
    if module and name:
        return f"cannot import name {name!r} from {module!r}"
    return f"No module named {module!r}" if module and isinstance(error, ModuleNotFoundError) else ""


def _word(name: str | None) -> str:
    """A name that is one of Python's, else nothing."""
    return name if name and len(name) <= LONGEST_NAME and all(map(str.isidentifier, name.split("."))) else ""
