"""Resolving a call: which credentials may serve it. That is done once, when it begins."""

import random
from collections.abc import Sequence

from msgspec.structs import replace

from keycairn.app.gateway.call import Call
from keycairn.app.gateway.directory import Directory
from keycairn.app.gateway.routes import check_native
from keycairn.domain.errors import CredentialNotFoundError
from keycairn.domain.routing import Serving, weighted_order
from keycairn.ports.provider import ProviderRegistry


class Resolver:
    """Finds the candidates of a call. What changes about its model's name later is for later calls."""

    def __init__(self, directory: Directory, registry: ProviderRegistry) -> None:
        self._directory = directory
        self._registry = registry
        self.anthropic = frozenset(one.spec.name for one in registry.all() if one.speaks_anthropic)
        """The providers that speak Anthropic's API."""

    async def candidates(self, call: Call) -> Sequence[Serving]:
        """What can do the call, in the order in which it is asked, at least one.

        Raises as `Directory.serving` and `Directory.credential`; NoRouteError for a native call that is not declared.
        """
        workspace, reach = call.caller.workspace, call.caller.reach
        if call.model is not None:
            providers = self.anthropic if call.api.anthropic else None
            found = await self._directory.serving(workspace, call.model, call.api.type, providers, reach)
            return weighted_order(found, random.random)
        credential = await self._directory.credential(workspace, call.credential or "")
        if not reach.holds(credential.provider, credential.id):
            raise CredentialNotFoundError
        check_native(self._registry.get(credential.provider).spec, call.method, call.api.path)
        return [Serving(None, credential)]

    async def renewed(self, candidates: Sequence[Serving]) -> Sequence[Serving]:
        """The same candidates, each with its credential as it is stored at this moment; without those deleted.

        A call may be under way for long: a key that was rotated meanwhile is the one to send.
        """
        await self._directory.refresh()
        found: list[Serving] = []
        for one in candidates:
            try:
                current = await self._directory.credential(one.credential.workspace, one.credential.id)
            except CredentialNotFoundError:
                continue
            found.append(one if current is one.credential else replace(one, credential=current))
        return found
