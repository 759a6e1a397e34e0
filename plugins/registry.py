"""Finding, loading and vetting provider plugins."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from itertools import count

import pluggy
from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.errors import PluginError, UnknownProviderError
from keycairn.domain.provider import ProviderSpec, canonical_name
from keycairn.plugins import hookspecs, providers
from keycairn.plugins.declared import typed
from keycairn.plugins.hook_functions import check_hooks
from keycairn.plugins.loaded import GuardedProvider, loaded
from keycairn.plugins.loading import cause, in_time
from keycairn.ports.provider import LoadedProvider, PluginStatus

TIME_LIMIT = 5.0
"""Seconds a plugin may take to import, and again for each of its hooks."""
BUILT_IN = "built-in"


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
        self._providers: dict[str, GuardedProvider] = {}
        self._statuses: dict[str, PluginStatus] = {}
        candidates = [Found(hookspecs.PROJECT, BUILT_IN, lambda: providers)]
        if external:
            points = entry_points(group=hookspecs.ENTRY_POINTS) if found is None else found
            candidates += sorted((_found(point) for point in points), key=lambda one: (one.name, one.origin))
        for candidate in candidates:
            self._take(candidate)
        for name in [name for name, status in self._statuses.items() if status.failure is None]:
            self._take_aliases(name)

    def get(self, name: str) -> LoadedProvider:
        """The provider of that name, hyphens and underscores, upper and lower case alike."""
        provider = self._providers.get(canonical_name(name))
        if provider is None:
            raise UnknownProviderError
        return provider

    def all(self) -> Sequence[LoadedProvider]:
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
        name = self._free_name(candidate)
        status = PluginStatus(name=name, origin=candidate.origin)
        try:
            plugin = in_time(candidate.load, self._time_limit, "its import")
            self._register(plugin, name)
            supplied = self._collect(name)
        except PluginError as error:
            self._drop(name)
            self._statuses[name] = replace(status, failure=str(error))
            return
        self._providers.update(supplied)
        self._statuses[name] = replace(status, providers=tuple(supplied), api_version=hookspecs.API_VERSION)

    def _free_name(self, candidate: Found) -> str:
        """The plugin's name; with where it comes from, and a number, where others have it already."""
        name = candidate.name
        if name in self._statuses:
            name = f"{candidate.name} ({candidate.origin})"
        numbers = count(2)
        while name in self._statuses:
            name = f"{candidate.name} ({candidate.origin}, {next(numbers)})"
        return name

    def _register(self, plugin: object, name: str) -> None:
        if (other := self._manager.get_name(plugin)) is not None:
            raise PluginError(f"It is the same object as the plugin {self._told(other)}, which is in use.")
        try:
            check_hooks(self._manager, plugin)
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except PluginError:
            raise
        except Exception as error:  # noqa: BLE001  # registering reads the attributes of a stranger's object
            raise PluginError(f"Registering it failed: {cause(error)}.") from None

    def _told(self, plugin: str) -> str:
        """A plugin and where it comes from."""
        return f"{plugin!r} ({self._statuses[plugin].origin})"

    def _drop(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)

    def _hook(self, hook: str, name: str) -> pluggy.HookCaller:
        others = [plugin for other, plugin in self._manager.list_name_plugin() if other != name]
        return self._manager.subset_hook_caller(hook, others)

    def _collect(self, name: str) -> dict[str, GuardedProvider]:
        caller = self._hook("keycairn_providers", name)
        if not any(hook.plugin_name == name for hook in caller.get_hookimpls()):
            return {}
        call = f"its hook {caller.name}"
        offered = in_time(lambda: [loaded(one) for one in _offered(caller())], self._time_limit, call)
        supplied: dict[str, GuardedProvider] = {}
        for provider in offered:
            taken = provider.spec.name
            if taken in supplied:
                raise PluginError(f"It supplies two providers named {taken!r}.")
            if taken in self._providers:
                raise PluginError(
                    f"Another provider is named {taken!r} already. The plugin {self._supplier(taken)} supplies it."
                )
            supplied[taken] = provider
        return supplied

    def _supplier(self, provider: str) -> str:
        return next(self._told(name) for name, status in self._statuses.items() if provider in status.providers)

    def _take_aliases(self, name: str) -> None:
        caller = self._hook("keycairn_env_aliases", name)
        if not any(impl.plugin_name == name for impl in caller.get_hookimpls()):
            return
        specs = {provider: self._providers[provider].spec for provider in self._providers}
        try:
            merged = in_time(
                lambda: {spec.name: _with_aliases(spec, caller(provider=spec.name)) for spec in specs.values()},
                self._time_limit,
                f"its hook {caller.name}",
            )
        except PluginError as error:
            self._withdraw(name, str(error))
            return
        for provider, spec in merged.items():
            if spec is not specs[provider]:
                self._providers[provider] = self._providers[provider].with_spec(spec)

    def _withdraw(self, name: str, failure: str) -> None:
        status = self._statuses[name]
        for provider in status.providers:
            del self._providers[provider]
        self._drop(name)
        self._statuses[name] = PluginStatus(name=name, origin=status.origin, failure=failure)


def _found(point: EntryPoint) -> Found:
    origin = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
    return Found(point.name, origin, point.load)


def _offered(answers: Sequence[object]) -> Iterable[object]:
    """The providers in a plugin's answer, which is a list of one: pluggy leaves None out."""
    for answer in answers or (None,):
        if not isinstance(answer, Iterable) or isinstance(answer, str | Mapping):
            raise PluginError(
                f"Its hook keycairn_providers gave no tuple or list of providers, but: {type(answer).__name__}."
            )
        yield from answer


def _with_aliases(spec: ProviderSpec, answers: Iterable[Mapping[str, Sequence[str]]]) -> ProviderSpec:
    for answer in answers:
        if not isinstance(answer, Mapping):
            raise PluginError(
                f"Its hook keycairn_env_aliases gave no mapping for {spec.name}: {type(answer).__name__}."
            )
        for field, variables in answer.items():
            if spec.field(field) is None:
                raise PluginError(f"It names variables for a field {spec.name} does not have: {field!r}.")
            if not isinstance(variables, list | tuple) or not all(isinstance(one, str) and one for one in variables):
                raise PluginError(f"Its variables for the field {field!r} of {spec.name} are no sequence of names.")
            fields = tuple(
                replace(one, env=tuple(dict.fromkeys((*one.env, *variables)))) if one.name == field else one
                for one in spec.fields
            )
            spec = typed(replace(spec, fields=fields), f"The provider {spec.name!r} with its variables")
    return spec
