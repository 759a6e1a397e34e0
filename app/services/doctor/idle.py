"""What is whole and of no use: accounts whose last test failed, and tokens that reach nothing any more."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from keycairn.app.services.doctor.findings import Finding
from keycairn.domain.credential import Credential, is_current
from keycairn.domain.outcome import PROVEN
from keycairn.domain.token import Scope, Token, carries
from keycairn.ports.store import Store


def failed(credential: Credential) -> bool:
    """Whether the last test of what the credential is by now failed."""
    check = credential.last_check
    if check is None or not is_current(check, credential):
        return False
    return not (check.outcome in PROVEN if check.success is None else check.success)


def of_failed(credentials: Iterable[Credential]) -> Iterator[Finding]:
    """The accounts whose last test failed."""
    for credential in credentials:
        check = credential.last_check
        yield Finding(
            code="test_failed",
            subject=f"credential {credential.name} ({credential.provider}, {credential.id})",
            found=f"its last test failed: {check.message if check else ''}",
            what_to_do="keycairn test; or give it another key: keycairn credential set-key",
            records=(credential.id,),
        )


def of_idle(tokens: Iterable[Token]) -> Iterator[Finding]:
    """The tokens that reach nothing."""
    for token in tokens:
        yield Finding(
            code="token_reaches_nothing",
            subject=f"token {token.name} ({token.id})",
            found="nothing is left of what it is bounded to, so its calls are refused",
            what_to_do="Give it other bounds (keycairn token edit), or revoke it.",
            records=(token.id,),
        )


async def idle_tokens(store: Store, now: datetime) -> Sequence[Token]:
    """The tokens in use that are bounded to credentials or models of which none is left."""
    bounded = [token for token in await store.all_tokens() if token.valid_at(now) and not token.reach.whole]
    return [token for token in bounded if not await _reaches(store, token)]


async def _reaches(store: Store, token: Token) -> bool:
    """Whether a credential is within reach; and for a token that calls models, one that may be called."""
    reach, place = token.reach, token.workspace
    if reach.credentials is not None:
        found = [await store.credential(place, id) for id in reach.credentials]
        accounts = [one for one in found if one is not None and reach.holds(one.provider, one.id)]
    else:
        accounts = [
            one
            for provider in reach.providers or (None,)
            for one in await store.credentials(place, provider=provider)
            if reach.holds(one.provider, one.id)
        ]
    if not accounts or reach.models is None or not carries(token.scopes, Scope.INVOKE):
        return bool(accounts)
    if any(one.options.any_model for one in accounts):
        return True
    models = await store.models(place, limit=None)
    return any(reach.names(model.provider, model.name) for model in models)
