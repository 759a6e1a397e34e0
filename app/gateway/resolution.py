"""Resolving a call: which credentials may serve it. That is done once, when it begins."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec.structs import replace

from keycairn.app.gateway.body_members import looked_into, names_others, query_names_others
from keycairn.app.gateway.call import Call
from keycairn.app.gateway.conversation import conversation_key
from keycairn.app.gateway.directory import Directory
from keycairn.app.gateway.form_naming import NamedForm
from keycairn.app.gateway.naming import NamedJson
from keycairn.app.gateway.opened import NOT_ANTHROPICS
from keycairn.app.gateway.resources import NEW_BATCHES
from keycairn.app.gateway.routes import below_base, check_native
from keycairn.domain.credential import Credential, account
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import (
    CredentialNotFoundError,
    KeycairnError,
    ListedModelsError,
    ModelNotFoundError,
    NoRouteError,
    RequestRefusedError,
    UnlinkedModelError,
)
from keycairn.domain.pass_through import WEBSOCKET
from keycairn.domain.routing import Draw, Serving, by_chance, by_conversation, weighted_order
from keycairn.ports.provider import LoadedProvider, ProviderRegistry


class Resolver:
    """Finds the candidates of a call. What changes about its model's name later is for later calls."""

    def __init__(self, directory: Directory, registry: ProviderRegistry) -> None:
        self._directory = directory
        self._registry = registry
        self.anthropic: frozenset[str] = frozenset(one.spec.name for one in registry.all() if one.speaks_anthropic)
        """The providers that speak Anthropic's API."""

    async def candidates(self, call: Call) -> Sequence[Serving]:
        """What can do the call, in the order in which it is asked, at least one.

        Raises as `Directory.serving` and `Directory.credential`; NoRouteError for a native call that is not declared,
        and for one in Anthropic's API of a model whose providers do not speak it; ListedModelsError for a native call
        of a token that may not call every model of the provider, for its batches, and for a body, a form or a query
        that names other models than its own, to fall back to or whatever for.
        """
        workspace, reach = call.caller.workspace, call.caller.reach
        if call.model is not None:
            found = await self._serving(call, call.model)
            bounded = reach.models is not None and not all(
                reach.everything_of(one.credential.provider) for one in found
            )
            if bounded and (call.api.path in NEW_BATCHES or await _names_others(call)):
                raise ListedModelsError
            if call.credential is not None:
                return _at_home(found, call.credential)
            return found if len(found) < 2 else weighted_order(found, _draw(call))
        credential = await self._directory.credential(workspace, call.credential or "")
        if not reach.holds(credential.provider, credential.id):
            raise CredentialNotFoundError
        if (call.api.native or call.api.path in NEW_BATCHES) and not reach.everything_of(credential.provider):
            raise ListedModelsError
        if call.api.native:
            provider = self._registry.get(credential.provider)
            path, version = below_base(call.api.path, _base_path(provider, credential))
            call.api = replace(call.api, path=path, version=version)
            check_native(provider.spec, WEBSOCKET if call.api.websocket else call.method, call.api.path)
        return [Serving(None, credential)]

    async def _serving(self, call: Call, model: str) -> Sequence[Serving]:
        """What serves the model in the API that is called. Raises as `candidates`."""
        workspace, reach, type = call.caller.workspace, call.caller.reach, call.api.type
        if not call.api.anthropic:
            return await self._directory.serving(workspace, model, type, None, reach)
        try:
            return await self._directory.serving(workspace, model, type, self.anthropic, reach)
        except (ModelNotFoundError, UnlinkedModelError):
            await self._directory.serving(workspace, model, type, None, reach)
        raise NoRouteError(NOT_ANTHROPICS)

    async def dialect(self, call: Call) -> Dialect:
        """The form of errors that clients of a native call's provider understand. Raises CredentialNotFoundError."""
        credential = await self._directory.credential(call.caller.workspace, call.credential or "")
        if not call.caller.reach.holds(credential.provider, credential.id):
            raise CredentialNotFoundError
        return self._registry.get(credential.provider).spec.dialect

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


async def _names_others(call: Call) -> bool:
    if query_names_others(call.query):
        return True
    if isinstance(call.body, NamedForm):
        call.body.refuse_others()
    return isinstance(call.body, NamedJson) and await looked_into(await call.body.whole(), names_others)


def _base_path(provider: LoadedProvider, credential: Credential) -> str:
    """The path of the URL that a native call's path follows, "" where it cannot be told without the secrets."""
    try:
        return urlsplit(provider.base_url(account(provider.spec, credential, {}))).path
    except (KeycairnError, ValueError):
        return ""


def _at_home(found: Sequence[Serving], credential: str) -> Sequence[Serving]:
    """The only one that can serve a call about what lives at its account."""
    home = [one for one in found if one.credential.id == credential]
    if not home:
        raise RequestRefusedError("The call refers to what lives at an account that does not serve this model.")
    return home


def _draw(call: Call) -> Draw:
    """Who of several goes first: for the turns of one conversation always the same."""
    key = conversation_key(call.body.beginning) if isinstance(call.body, NamedJson) and call.api.answers else None
    return by_conversation(key) if key else by_chance
