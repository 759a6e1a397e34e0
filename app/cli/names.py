"""What people call the records that ids stand for."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from keycairn.domain.errors import RequestFailedError

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

KINDS = ("model", "credential", "token")


async def names_by_id(client: "Client", kinds: Iterable[str] = KINDS) -> dict[str, str]:
    """The names of the records there are, by id; of a model with its provider. What may not be read is left out."""
    names: dict[str, str] = {}
    for kind in kinds:
        with suppress(RequestFailedError):
            names |= {each["id"]: _called(each, kind) for each in await client.all(f"/api/{kind}s")}
    return names


def _called(record: dict[str, Any], kind: str) -> str:
    return f"{record['provider']}/{record['name']}" if kind == "model" else record["name"]
