"""What the tab key offers: names and ids that the running service knows. Nothing is opened or made for it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

PATIENCE = 2.0
"""Seconds a person waits for the tab key."""
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(ask: "Callable[[Client], Awaitable[Iterable[tuple[str, str]]]]") -> Complete:
    """Completion by what `ask` gives: texts, each with what it is. A service that cannot be asked offers nothing."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001  # click's form
        import asyncio  # noqa: PLC0415  # with the client 0.2 s, which other words do not need

        try:
            known = asyncio.run(_asked(ask))
        except Exception:  # noqa: BLE001  # a person at the tab key is told nothing of it
            return []
        start = incomplete.casefold()
        return [CompletionItem(text, help=what) for text, what in known if text.casefold().startswith(start)]

    return complete


async def _asked(ask: "Callable[[Client], Awaitable[Iterable[tuple[str, str]]]]") -> list[tuple[str, str]]:
    import asyncio  # noqa: PLC0415  # as above

    from keycairn.app.cli.client import connect_to_running  # noqa: PLC0415
    from keycairn.app.cli.settings import settings  # noqa: PLC0415

    async with asyncio.timeout(PATIENCE), connect_to_running(settings()) as client:
        return [*await ask(client)] if client is not None else []


def _both(records: Iterable[dict[str, Any]], what: Callable[[dict[str, Any]], str]) -> list[tuple[str, str]]:
    """Names first, each with what it is; then ids, each with its name."""
    found = [*records]
    return [(each["name"], what(each)) for each in found] + [(each["id"], each["name"]) for each in found]


async def _credentials(client: "Client") -> list[tuple[str, str]]:
    return _both(await client.all("/api/credentials"), lambda each: str(each["provider"]))


async def _models(client: "Client") -> list[tuple[str, str]]:
    return _both(await client.all("/api/models"), lambda each: f"{each['provider']}, {each['type']}")


async def _tokens(client: "Client") -> list[tuple[str, str]]:
    usable = [each for each in await client.get("/api/tokens") if not each["revoked"]]
    return _both(usable, lambda each: ", ".join(each["scopes"]))


async def _providers(client: "Client") -> list[tuple[str, str]]:
    return [(each["name"], each["display_name"]) for each in await client.get("/api/providers")]


credential_names: Complete = _completing(_credentials)
model_names: Complete = _completing(_models)
token_names: Complete = _completing(_tokens)
provider_names: Complete = _completing(_providers)
