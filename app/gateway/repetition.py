"""The header by which providers know a call that they were sent before."""

from collections.abc import Sequence

from keycairn.app.services.access import Principal
from keycairn.app.services.keys import Vault

HEADER = "idempotency-key"


def with_own_key(headers: Sequence[tuple[str, str]], caller: Principal, vault: Vault) -> list[tuple[str, str]]:
    """The headers with a key in the place of the client's, the same for each call of the same caller with that one.

    Callers share accounts. With the client's own key, whoever guessed another one's could have the answer to his call.
    Raises SealedError.
    """
    if all(name != HEADER for name, _ in headers):
        return [*headers]
    mac = vault.keyset.session_mac
    return [
        (name, mac(f"idempotency\n{caller.workspace}\n{caller.actor}\n{value}".encode()) if name == HEADER else value)
        for name, value in headers
    ]
