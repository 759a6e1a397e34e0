"""Providers whose key changes under way. `python -m tests.crowd.servers` runs one of each.

It prints their URLs by name as a line of JSON, and reads its input. A line `NAME coming KEY` lets a further key in,
`NAME only KEY` makes it the only one; each is answered with a line when it holds.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from tests.servers.anthropic_api import AnthropicServer
from tests.servers.live_api import LiveServer
from tests.servers.realtime_api import RealtimeServer, TellingRealtimeServer
from websockets.http11 import Request

from keycairn.domain.modality import Modality
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import LocalServer, Recorded

FIRST = "sk-rotated-000000-0123456789"
"""The key that each begins with."""


class _Taking(LocalServer):
    """Takes its key, and the next one while it is being put in."""

    coming = ""

    def authorized(self, recorded: Recorded) -> bool:
        return recorded.headers.get(self.header, "").removeprefix(self.scheme) in {self.key, self.coming}


class Speaking(_Taking, OpenAIServer):
    """OpenAI's calls."""


class Messages(_Taking, AnthropicServer):
    """Anthropic's."""


class _TakingSockets(RealtimeServer):
    coming = ""

    def presented(self, request: Request) -> str | None:
        given = super().presented(request)
        return self.key if given and given == self.coming else given


class Refusing(_TakingSockets):
    """Refuses a bad key at the handshake."""


class Telling(_TakingSockets, TellingRealtimeServer):
    """Says of a bad key over the connection."""


class Ending(LiveServer):
    """Says of a bad key in the end of the connection alone."""

    coming = ""

    def presented(self, request: Request) -> str | None:
        given = super().presented(request)
        return self.key if given and given == self.coming else given


KINDS: dict[str, tuple[str, type[Any], dict[str, Modality]]] = {
    "speaking": ("openai", Speaking, {"gpt-4o": Modality.LANGUAGE, "whisper-1": Modality.SPEECH_TO_TEXT}),
    "messages": ("anthropic", Messages, {"claude-sonnet-5": Modality.LANGUAGE}),
    "refusing": ("openai", Refusing, {"gpt-realtime": Modality.LANGUAGE}),
    "telling": ("openai", Telling, {"gpt-telling": Modality.LANGUAGE}),
    "ending": ("google", Ending, {}),
}
"""By name: the provider, its server, and the models it has."""


async def main() -> None:
    """Run until the input ends."""
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(kind(key=FIRST)) for name, (_, kind, _) in KINDS.items()}
        _say(json.dumps({name: server.url for name, server in servers.items()}))
        while line := await asyncio.to_thread(sys.stdin.readline):
            name, what, key = line.split()
            servers[name].coming = key
            if what == "only":
                servers[name].key = key
            if isinstance(servers[name], LocalServer):
                servers[name].requests.clear()  # of uploads, too much to keep
            _say("done")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
