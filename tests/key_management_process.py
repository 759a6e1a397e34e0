"""OpenRouter's key management as a process of its own, which outlives those that it serves.

`python -m tests.key_management_process FIRST_KEY...` prints its address. `GET /control` tells the keys that live,
`POST /control` takes seconds to wait at each way of asking: `{"before POST": 1.0, "after DELETE": 2.0}`.
"""

import asyncio
import sys

from aiohttp import web
from tests.servers.key_apis import OpenRouterKeyServer

from keycairn.testing import Recorded, ServedKey


class OutlivingKeyServer(OpenRouterKeyServer):
    """Waits before or after it did what it is asked for, so that whoever asks may end meanwhile."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__()
        self.keys = {self._hash(key): ServedKey(key, "made by hand") for key in keys}
        self.waits: dict[str, float] = {}

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/control":
            return await self._controlled(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        recorded = Recorded(request.method, request.raw_path, headers, await request.read())
        method = request.method if self.manages(recorded) else "use"
        await asyncio.sleep(self.waits.get(f"before {method}", 0.0))
        answer = self._proper(recorded)  # whether or not anyone waits for it
        await asyncio.sleep(self.waits.get(f"after {method}", 0.0))
        return web.Response(status=answer.status, body=answer.body, content_type=answer.type)

    async def _controlled(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            self.waits = await request.json()
        return web.json_response({"living": self.living})


async def _main(keys: list[str]) -> None:
    async with OutlivingKeyServer(keys) as server:
        print(server.origin, flush=True)  # noqa: T201  # to whoever started it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
