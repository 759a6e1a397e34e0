"""Keys are rotated under calls of real SDKs, uploads and websockets among them; the former one is dead at once."""

import asyncio
import io
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import anthropic
import openai
from tests.gateway_house import GatewayHouse, gateway_house
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.live_api import LiveServer
from tests.servers.realtime_api import RealtimeServer, TellingRealtimeServer
from websockets.asyncio.client import connect
from websockets.http11 import Request

from keycairn.adapters.file_spool import FileSpools
from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import LocalServer, Recorded

EVERY = 0.3
WORKERS, ROTATIONS = 12, 4
PATIENCE = 120
"""Seconds for a call: clients, gateway and providers are one process here."""
UPLOAD = silent_wav() + bytes(2 * 2**20)
HELLO: Any = [{"role": "user", "content": "Hello"}]
LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
FIRST = "sk-rotated-000000-0123456789"


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


class Clients:
    """SDKs as they are used, each call checked. `live` is the URL of Google's live API."""

    def __init__(self, sdk: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, live: str) -> None:
        self._sdk = sdk
        self._claude = claude
        self._live = live
        self.calls: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("chat", self.chat),
            ("stream", self.stream),
            ("upload", self.upload),
            ("message", self.message),
            ("realtime", lambda: self.session("gpt-realtime")),
            ("told later", lambda: self.session("gpt-telling")),
            ("live", self.turns),
        ]

    async def chat(self) -> None:
        answer = await self._sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert answer.choices[0].message.content == "Hello!"

    async def stream(self) -> None:
        said = await self._sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        assert "".join([one.choices[0].delta.content or "" async for one in said]) == "Hello!"

    async def upload(self) -> None:
        file = io.BytesIO(UPLOAD)
        file.name = "a.wav"
        assert (await self._sdk.audio.transcriptions.create(model="whisper-1", file=file)).text == "you"

    async def message(self) -> None:
        answer = await self._claude.messages.create(model="claude-sonnet-5", max_tokens=9, messages=HELLO)
        assert answer.stop_reason == "end_turn"

    async def session(self, model: str) -> None:
        async with self._sdk.realtime.connect(
            model=model,
            websocket_connection_options={"open_timeout": PATIENCE},  # type: ignore[typeddict-unknown-key]  # goes on to websockets
        ) as connection:
            for _ in range(2):
                await connection.response.create()
                while (await connection.recv()).type != "response.done":
                    pass
                await asyncio.sleep(EVERY)

    async def turns(self) -> None:
        headers = {"x-goog-api-key": self._sdk.api_key}
        async with connect(self._live, additional_headers=headers, proxy=None, open_timeout=PATIENCE) as connection:
            await connection.send(json.dumps({"setup": {"model": "models/gemini-live"}}))
            assert "setupComplete" in json.loads(await connection.recv())
            await connection.send(json.dumps({"clientContent": {"turnComplete": True}}))
            assert b"Hello!" in await connection.recv(decode=False)


class Workers:
    """Call one kind after the other until they are told to end."""

    def __init__(self, clients: Clients) -> None:
        self._calls = clients.calls
        self.failed: list[str] = []
        self.done: Counter[str] = Counter({name: 0 for name, _ in clients.calls})
        self.ended = asyncio.Event()

    async def work(self, number: int) -> None:
        while not self.ended.is_set():
            name, call = self._calls[number % len(self._calls)]
            number += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    await call()
            except Exception as error:  # noqa: BLE001  # whatever an SDK raises is a failure
                self.failed.append(f"{name}: {type(error).__name__}: {error}")
            self.done[name] += 1


async def rotate(house: GatewayHouse, servers: dict[Any, Credential], times: int) -> None:
    """Rotate every key so often, with pauses."""
    for number in range(times):
        for server, account in servers.items():
            server.coming = f"sk-rotated-{number:06}-{os.urandom(5).hex()}"
            await house.rotate(account, server.coming)
            server.key = server.coming
        await asyncio.sleep(EVERY)


async def test_no_call_of_any_kind_fails_while_keys_are_rotated(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        spools = stack.enter_context(closing(FileSpools(tmp_path)))
        house = await stack.enter_async_context(gateway_house(spools=spools))
        servers: dict[Any, Credential] = {}
        for provider, server, models in (
            ("openai", Speaking(key=FIRST), {"gpt-4o": Modality.LANGUAGE, "whisper-1": Modality.SPEECH_TO_TEXT}),
            ("anthropic", Messages(key=FIRST), {"claude-sonnet-5": Modality.LANGUAGE}),
            ("openai", Refusing(key=FIRST), {"gpt-realtime": Modality.LANGUAGE}),
            ("openai", Telling(key=FIRST), {"gpt-telling": Modality.LANGUAGE}),
            ("google", Ending(key=FIRST), {}),
        ):
            await stack.enter_async_context(server)
            servers[server] = account = await house.account(provider, server.url, FIRST)
            for name, kind in models.items():
                await house.model(account, name, kind)
        sdk = await stack.enter_async_context(
            openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.token, max_retries=0)
        )
        claude = await stack.enter_async_context(
            anthropic.AsyncAnthropic(base_url=f"{house.url}/anthropic", api_key=house.token, max_retries=0)
        )
        live = f"{house.url.replace('http', 'ws', 1)}/native/{account.id}{LIVE}"
        crowd = Workers(Clients(sdk, claude, live))
        tasks = [asyncio.create_task(crowd.work(number)) for number in range(WORKERS)]
        await rotate(house, servers, ROTATIONS)
        crowd.ended.set()
        await asyncio.gather(*tasks)
    assert crowd.failed == []
    assert min(crowd.done.values()) > 0
