"""Calls of real SDKs, one after the other. `python -m tests.crowd.clients URL TOKEN LIVE WORKERS` makes some.

It goes on until its input ends, and prints what failed, and how many calls of each kind were made, as a line of JSON.
"""

import asyncio
import io
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
from websockets.asyncio.client import connect

from keycairn.plugins.payloads import silent_wav

PATIENCE = 120
"""Seconds for a call: clients, gateway and providers may be one process."""
PAUSE = 0.3
"""Seconds between the turns of a websocket."""
UPLOAD = silent_wav() + bytes(2 * 2**20)
HELLO: Any = [{"role": "user", "content": "Hello"}]
LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


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
                await asyncio.sleep(PAUSE)

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


async def crowd(url: str, token: str, live: str, workers: int, ended: Callable[[], Awaitable[object]]) -> Workers:
    """So many workers at the gateway at `url`, until `ended` returns. `live` is the account of Google's."""
    async with (
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=PATIENCE) as sdk,
        anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key=token, max_retries=0, timeout=PATIENCE) as claude,
    ):
        made = Workers(Clients(sdk, claude, f"{url.replace('http', 'ws', 1)}/native/{live}{LIVE}"))
        tasks = [asyncio.create_task(made.work(number)) for number in range(workers)]
        await ended()
        made.ended.set()
        await asyncio.gather(*tasks)
    return made


if __name__ == "__main__":
    _, at, word, account, count = sys.argv
    came = asyncio.run(crowd(at, word, account, int(count), lambda: asyncio.to_thread(sys.stdin.read)))
    sys.stdout.write(json.dumps({"failed": came.failed, "done": came.done}) + "\n")
