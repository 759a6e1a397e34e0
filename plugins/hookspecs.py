"""The hooks of a provider plugin.

A plugin is a distribution with an entry point in the group `keycairn.providers` that names a module (or object) whose
functions are marked with `hookimpl`. Hooks hand over data and objects once, at start; what a provider does, call by
call, lives on `keycairn.ports.provider.Provider`.
"""

from collections.abc import Iterable, Mapping, Sequence

import pluggy

from keycairn.ports.provider import Provider

PROJECT: str = "keycairn"
ENTRY_POINTS = "keycairn.providers"
API_VERSION = 1
"""The version of the hooks and of `Provider`: what `ProviderSpec.api_version` says of a plugin written today."""
OLDEST_API_VERSION = 1
"""The oldest version whose plugins still work: what comes later is added, with a default where it is absent."""

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of the same name."""


@hookspec
def keycairn_providers() -> Iterable[Provider]:
    """The providers this plugin supplies.

    Called once, at start, in a thread of its own and with a time limit: do no I/O. A name that another plugin supplies
    already, a spec with faults, or an exception puts the whole plugin out of use; the service starts without it.

    Since 0.1.
    """
    raise NotImplementedError


@hookspec
def keycairn_env_aliases(provider: str) -> Mapping[str, Sequence[str]]:
    """More environment variables for the fields of the provider named `provider`.

    Called at start, once for each provider of every plugin, after all providers are known: do no I/O. The answer maps
    a field's name to variable names, which are tried after the provider's own; answer `{}` for providers that are not
    meant. A field the provider does not have is a fault.

    Since 0.1.
    """
    raise NotImplementedError
