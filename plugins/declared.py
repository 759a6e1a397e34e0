"""What a provider declares, checked when it is loaded: its spec, and the methods it has."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from keycairn.domain.errors import PluginError
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.provider_faults import spec_faults
from keycairn.plugins import hookspecs
from keycairn.ports.provider import Provider

LIKENESS = 0.88
"""How alike the name of an attribute and that of a capability are where one was meant for the other, from 0 to 1."""
LONGEST_NAME = 100
"""Characters of a name that is told of a plugin that fails."""
LARGEST_SPEC = 2**20
"""Bytes of a spec as JSON."""


class Method(Struct, frozen=True):
    """How a method is called: what is passed to it, in this order, and whether it is awaited."""

    parameters: tuple[str, ...]
    awaited: bool = False

    def written(self, name: str) -> str:
        """As the author would begin it."""
        return f"{'async ' if self.awaited else ''}def {name}(self, {', '.join(self.parameters)})"


REQUIRED: Mapping[str, Method] = {
    "discover": Method(("account", "http"), awaited=True),
    "check": Method(("account", "http"), awaited=True),
    "try_model": Method(("account", "name", "type", "http"), awaited=True),
    "authorize": Method(("account", "request", "http"), awaited=True),
    "base_url": Method(("account", "type")),
    "client_config": Method(("account", "type")),
}
OPTIONAL: Mapping[str, Method] = {
    "openai_base_url": Method(("account", "type")),
    "openai_model_name": Method(("name",)),
    "anthropic_base_url": Method(("account",)),
    "refuses_key": Method(("status", "body")),
    "client_name_for": Method(("type",)),
}
"""Capabilities: a provider without one is treated by a default."""
MANAGING: Mapping[str, Method] = {
    "create_key": Method(("manager", "order", "http"), awaited=True),
    "revoke_key": Method(("manager", "key", "http"), awaited=True),
    "list_keys": Method(("manager", "http"), awaited=True),
}
"""What a provider has whose spec declares `key_management`; of others these names mean nothing."""

VERSIONS = range(hookspecs.OLDEST_API_VERSION, hookspecs.API_VERSION + 1)
"""Of the plugin API, those whose plugins work here."""
_AWAITABLE = ("Awaitable", "Coroutine", "Future", "Task")
_PLACE = re.compile(r"\$\.fields\[(\d+)\]\.?(.*)")


def vetted(provider: Any, *, versions: range = VERSIONS) -> tuple[ProviderSpec, Provider]:
    """`provider` and a copy of its spec; `versions` of the plugin API are those it may be written for.

    Raises PluginError, which says what is wrong with them and where.
    """
    given = getattr(provider, "spec", None)
    if not isinstance(given, ProviderSpec):
        raise PluginError(f"A provider ({written_in(provider)}) has no spec of type ProviderSpec.")
    if isinstance(given.api_version, int) and given.api_version not in versions:
        taken = f"takes {versions[0]} to {versions[-1]}" if len(versions) > 1 else f"has version {versions[0]}"
        raise PluginError(
            f"The provider {given.name!r} is written for API version {given.api_version}; this Keycairn {taken}."
        )
    who = f"The provider {word(given.name)!r} ({written_in(provider)})"
    spec = typed(given, who)
    managing = needed_to_manage(spec)
    lacking = [
        _lacked(name, provider) for name in {**REQUIRED, **managing} if not callable(getattr(provider, name, None))
    ]
    client_name = getattr(provider, "client_name", None)
    if not isinstance(client_name, str) or not client_name.strip():
        lacking.append("client_name")
    if lacking:
        raise PluginError(f"{who} lacks: {', '.join(lacking)}.")
    faults = [*spec_faults(spec), *_method_faults(provider, managing), *_misspelt(provider)]
    if faults:
        raise PluginError(f"{who} is declared wrongly: {'; '.join(faults)}.")
    return spec, cast("Provider", provider)


def needed_to_manage(spec: ProviderSpec) -> Mapping[str, Method]:
    """The methods that its declaration of `key_management` asks for."""
    management = spec.key_management
    if management is None:
        return {}
    has = {"create_key": management.makes, "revoke_key": management.revokes, "list_keys": management.lists}
    return {name: method for name, method in MANAGING.items() if has[name]}


def typed(given: ProviderSpec, who: str) -> ProviderSpec:
    """A copy of a spec with every value of the type it is declared with: Python checks none of them.

    Raises PluginError, which begins with `who`.
    """
    try:
        text = msgspec.json.encode(given)
        if len(text) > LARGEST_SPEC:
            raise PluginError(f"{who} is declared wrongly: its spec is larger than {LARGEST_SPEC // 2**20} MiB.")
        return msgspec.json.decode(text, type=ProviderSpec)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at `")
        raise PluginError(f"{who} is declared wrongly: {_spoken(place.rstrip('`'), given)}: {_reason(why)}.") from None
    except UnicodeEncodeError:
        raise PluginError(f"{who} is declared wrongly: a text of its spec is no Unicode.") from None
    except (TypeError, ValueError, RecursionError):
        raise PluginError(f"{who} is declared wrongly: its spec holds an object that is no data.") from None


def written_in(provider: object) -> str:
    """The class of an object and the file it is written in."""
    kind = type(provider)
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return f"{kind.__name__} in {Path(file).name}" if isinstance(file, str) else kind.__name__


def word(name: object) -> str:
    """A name that is one of Python's, else nothing."""
    usable = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and all(map(str.isidentifier, name.split(".")))
    return str(name) if usable else ""


def _reason(why: str) -> str:
    """The decoder's words; what it quotes of the declaration, only where that is a plain word."""
    quoted = re.search(r"'(.*)'", why, re.DOTALL)
    if quoted is None or word(quoted[1]):
        return why[:1].lower() + why[1:]
    return "invalid value"


def _spoken(place: str, given: ProviderSpec) -> str:
    """A place in a spec, with its field's name."""
    match = _PLACE.fullmatch(place)
    if match is None:
        return place.removeprefix("$.") or "spec"
    name = word(getattr(list(given.fields)[int(match[1])], "name", None))
    return f"{match[2] or 'all'} of the field {name!r}" if name else place.removeprefix("$.")


def _lacked(name: str, provider: object) -> str:
    like = get_close_matches(name, _own(provider), n=1, cutoff=LIKENESS)
    return f"{name} ({like[0]} is none)" if like else name


def _method_faults(provider: object, managing: Mapping[str, Method]) -> Iterator[str]:
    for name, method in {**REQUIRED, **OPTIONAL, **managing}.items():
        given = getattr(provider, name, None)
        if given is None:
            continue
        if not callable(given):
            yield f"{name} is no method"
        elif (fault := _fault(given, method)) is not None:
            yield f"{name}{_line(given)} {fault}: it has to be `{method.written(name)}`"


def _fault(given: Any, method: Method) -> str | None:
    code = _function(given)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        return "yields"
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):  # of something that Python cannot look into
        return None
    if inspect.isroutine(code) and inspect.iscoroutinefunction(code) is not method.awaited:
        if not method.awaited:
            return "is async"
        if not any(one in str(signature.return_annotation) for one in _AWAITABLE):
            return "is not async"
    try:
        signature.bind(*method.parameters)
    except TypeError:
        return "takes other parameters"
    names = list(signature.parameters)[: len(method.parameters)]
    return "takes its parameters in another order" if _swapped(names, method.parameters) else None


def _function(given: Any) -> Any:
    """The function that is written for a method, behind wrappers that say what they wrap."""
    while isinstance(given, partial):
        given = given.func
    given = inspect.unwrap(given)
    return given if inspect.isfunction(given) or inspect.ismethod(given) else None


def _swapped(names: list[str], wanted: tuple[str, ...]) -> bool:
    return names != list(wanted) and sorted(names) == sorted(wanted)


def _line(given: Any) -> str:
    code = getattr(_function(given), "__code__", None)
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if inspect.iscode(code) else ""


def _misspelt(provider: object) -> Iterator[str]:
    """Attributes that are one letter or two from a capability: nothing else would ever say that it is not used."""
    for name in _own(provider):
        if like := get_close_matches(name, [one for one in OPTIONAL if not hasattr(type(provider), one)], 1, LIKENESS):
            yield f"{name} is nothing that Keycairn calls: {like[0]} is meant, or begin its name with an underscore"


def _own(provider: object) -> list[str]:
    """The public names that a plugin gives its provider, besides those of the interface and of our base classes."""
    ours = {*REQUIRED, *OPTIONAL, "spec", "client_name"}
    for kind in type(provider).__mro__:
        if kind.__module__.partition(".")[0] == hookspecs.PROJECT:
            ours.update(vars(kind))
    return sorted(name for name in {*dir(type(provider)), *_vars(provider)} - ours if not name.startswith("_"))


def _vars(thing: object) -> Mapping[str, object]:
    """Its own attributes, none where it has slots."""
    return getattr(thing, "__dict__", {})
