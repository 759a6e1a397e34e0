"""What a token is called, reaches and lasts, checked against what there is."""

from collections.abc import Sequence
from datetime import datetime

from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import check_no_id
from keycairn.domain.names import check_patterns
from keycairn.domain.provider import canonical_name
from keycairn.domain.reach import Reach
from keycairn.domain.secretlike import check_no_key
from keycairn.domain.token import Scope
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

LONGEST_NAME = 200


def checked_name(name: str) -> str:
    """The name as it is stored. Raises InvalidInputError."""
    label = name.strip()
    if not label or len(label) > LONGEST_NAME or not label.isprintable():
        message = f"The name must be 1 to {LONGEST_NAME} printable characters."
        raise InvalidInputError(message, {"name": f"must be 1 to {LONGEST_NAME} printable characters"})
    check_no_key({"name": label})
    check_no_id(label, "token")
    return label


def check_expiry(expires: datetime | None, now: datetime) -> None:
    """Raise InvalidInputError for an end that has passed, or has no time zone."""
    if expires is not None and (expires.tzinfo is None or expires <= now):
        message = "A token's expiry must lie in the future and carry a time zone."
        raise InvalidInputError(message, {"expires": "must be in the future, with a time zone"})


class ReachCheck:
    """Checks which credentials and models a token is to be bounded to."""

    def __init__(self, store: Store, registry: ProviderRegistry) -> None:
        self._store = store
        self._registry = registry

    async def checked(self, reach: Reach, scopes: Sequence[Scope], workspace: str) -> Reach:
        """The reach of a token with `scopes` in a workspace, by the providers' own names. Raises InvalidInputError."""
        if reach.whole:
            return reach
        if Scope.ADMIN in scopes:
            message = "A token that reaches certain credentials or models only cannot be an administrator's."
            raise InvalidInputError(message, {"reach": "cannot be combined with the scope admin"})
        if () in (reach.providers, reach.credentials, reach.models):
            message = "A token that reaches nothing is of no use. Name what it shall reach, or drop the list."
            raise InvalidInputError(message, {"reach": "must not be an empty list"})
        for id in reach.credentials or ():
            if await self._store.credential(workspace, id) is None:
                message = "A credential that the token shall reach does not exist in its workspace."
                raise InvalidInputError(message, {"reach.credentials": "must exist in the workspace"})
        known = None if reach.providers is None else [self._registry.get(name).spec.name for name in reach.providers]
        return Reach(
            providers=None if known is None else tuple(dict.fromkeys(known)),
            credentials=reach.credentials,
            models=None if reach.models is None else self._checked_models(reach.models),
        )

    def _checked_models(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The patterns, with providers in front of them by their canonical names. Raises InvalidInputError."""
        check_patterns(patterns, "reach.models")
        providers = {provider.spec.name for provider in self._registry.all()}
        found: dict[str, None] = {}
        for pattern in patterns:
            front, slash, rest = pattern.partition("/")
            known = slash and canonical_name(front) in providers
            found[f"{canonical_name(front)}/{rest}" if known else pattern] = None
        return tuple(found)
