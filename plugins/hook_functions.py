"""The functions of a plugin that are marked as hooks, checked before they are registered.

pluggy checks them too, but quotes objects and defaults of the plugin in what it says.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pluggy

from keycairn.domain.errors import PluginError
from keycairn.plugins import hookspecs


def check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise PluginError unless the plugin implements a hook, and each as it is called."""
    found = list(_marked(manager, plugin))
    if not found:
        raise PluginError("It implements no hook.")
    for name, function in found:
        spec = getattr(hookspecs, name, None)
        if not hasattr(spec, f"{hookspecs.PROJECT}_spec"):
            raise PluginError(f"It has an unknown hook: {name!r}.")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise PluginError(f"Its hook {name} ({_place(function)}) is async; a hook is not awaited.")
        passed = inspect.signature(spec).parameters  # type: ignore[arg-type]  # a hook is a function
        asked = [one for one in _required(function) if one not in passed]
        if asked:
            raise PluginError(f"Its hook {name} ({_place(function)}) takes what nobody passes: {', '.join(asked)}.")


def _marked(manager: pluggy.PluginManager, plugin: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is not None:
            yield options.get("specname") or name, getattr(plugin, name)


def _required(function: Callable[..., Any]) -> list[str]:
    """The parameters that have to be passed, by name."""
    parameters = inspect.signature(function).parameters.values()
    return [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in {one.VAR_POSITIONAL, one.VAR_KEYWORD}
    ]


def _place(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if inspect.iscode(code) else "?"
