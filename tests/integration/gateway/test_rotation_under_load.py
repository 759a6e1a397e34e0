"""A key that is rotated while it is in use."""

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.gateway_house import gateway_house
from tests.nights import by_day

from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.surreal import open_surreal

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
CLIENTS, ROTATIONS = 64, 100
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
EVENTS = 3


class EchoingProvider:
    """Streams a few events and, last, the number of the key it was called with."""

    def __init__(self) -> None:
        self.under_way = self.most_under_way = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
            number = head.partition(b"authorization: bearer sk-rotated-")[2][:6]
            writer.write(HEAD)
            for _ in range(EVENTS):
                writer.write(b"data: {}\n\n")
                await writer.drain()
                await asyncio.sleep(0.001)
            writer.write(b"data: " + number + b"\n\n")
        self.under_way -= 1
        writer.close()


@pytest.mark.parametrize("engine", by_day(["memory", "surrealkv"], one_in=2))
async def test_no_call_fails_and_none_uses_a_key_older_than_the_last_acknowledged(engine: str, tmp_path: Path) -> None:
    store = MemoryStore() if engine == "memory" else await open_surreal(f"surrealkv://{tmp_path / 'db'}")
    provider = EchoingProvider()
    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    acknowledged = 0
    used: Counter[int] = Counter()
    failed: list[tuple[int, str]] = []
    stale: list[tuple[int, int]] = []
    ended = asyncio.Event()

    async def caller(client: httpx.AsyncClient) -> None:
        while not ended.is_set():
            at_begin = acknowledged
            answer = await client.post("/v1/chat/completions", json=BODY)
            lines = answer.text.split()
            if answer.status_code != 200 or len(lines) != 2 * (EVENTS + 1):
                failed.append((answer.status_code, answer.text))
                continue
            number = int(lines[-1])
            used[number] += 1
            if number < at_begin:
                stale.append((at_begin, number))

    async with gateway_house(store=store) as house, server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        credential = await house.credential("openai_compatible", "sk-rotated-000000", base_url=url)
        await house.model(credential, "m")
        limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
        headers = {"authorization": f"Bearer {house.token}"}
        async with httpx.AsyncClient(base_url=house.url, headers=headers, limits=limits, timeout=30) as client:
            callers = [asyncio.create_task(caller(client)) for _ in range(CLIENTS)]
            for number in range(1, ROTATIONS + 1):
                await house.rotate(credential, f"sk-rotated-{number:06}")
                acknowledged = number
                await asyncio.sleep(0.005)
            ended.set()
            await asyncio.gather(*callers)
    await store.aclose()

    assert not failed
    assert not stale
    assert len(used) > ROTATIONS / 3  # calls went on all the while
    assert used.total() > CLIENTS
    assert provider.most_under_way > CLIENTS / 4
