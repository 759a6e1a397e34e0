"""What a token may reach and how much it may do, in words with the names of its credentials."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keycairn.domain.errors import RequestFailedError
from keycairn.domain.names import fits

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

GONE = "gone"
"""What stands for a credential that is not there any more."""


async def names_of(client: "Client", tokens: Sequence[Mapping[str, Any]]) -> Mapping[str, str] | None:
    """What the credentials are called that tokens are bounded to, by id; None where that may not be looked up."""
    if not any(each["reach"]["credentials"] for each in tokens):
        return {}
    try:
        return {each["id"]: each["name"] for each in await client.all("/api/credentials")}
    except RequestFailedError:
        return None


def reach_of(token: Mapping[str, Any], names: Mapping[str, str] | None) -> str:
    """What a token is bounded to; "all" where it is not. `names` are those of `names_of`."""
    reach = token["reach"]
    accounts = [names.get(id, f"{id} ({GONE})") if names is not None else id for id in reach["credentials"] or ()]
    parts = {"providers": reach["providers"], "credentials": accounts, "models": reach["models"]}
    return "; ".join(f"{kind} {', '.join(found)}" for kind, found in parts.items() if found) or "all"


async def bounds(client: "Client", token: Mapping[str, Any]) -> str:
    """A sentence on what a token reaches, how much it may do, and until when."""
    reach = reach_of(token, await names_of(client, [token]))
    limits = ", ".join(f"{name} {most}" for name, most in token["limits"].items() if most is not None)
    return f"It reaches: {reach}. Limits: {limits or 'none'}. It ends: {token['expires'] or 'never'}."


async def unmet(client: "Client", token: Mapping[str, Any]) -> list[str]:
    """The models a token is bounded to of which none is registered: for those it is of no use yet."""
    patterns = token["reach"]["models"]
    if not patterns:
        return []
    try:
        models = await client.all("/api/models")
    except RequestFailedError:
        return []
    names = {name for each in models for name in (each["name"], f"{each['provider']}/{each['name']}")}
    return [pattern for pattern in patterns if not any(fits(pattern, name) for name in names)]
