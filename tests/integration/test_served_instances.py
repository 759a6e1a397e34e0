"""Instances as processes of their own on a real database server: stopped, restarted, and without their database."""

import asyncio
import signal
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.served import Served, serving
from tests.servers.surreal_server import PASSWORD, USER, needs_binary, surreal_server
from tests.shell import Shell

from keycairn.testing.openai_server import OpenAIServer

pytestmark = [needs_binary, pytest.mark.night, pytest.mark.timeout(300)]

ROOT_KEY = "base64:" + b64encode(sha256(b"a root key of tests of instances").digest()).decode()
ADMIN = "a-token-of-an-administrator-0123456789"
SOON = 4.0
"""Seconds for what takes a lease's time, on a busy machine."""
FIRST, SECOND = "sk-first-0123456789abcdef", "sk-second-0123456789abcdef"


class Fleet:
    """Instances by number, and a client that knows them."""

    def __init__(self, folder: Path, database: str, stack: AsyncExitStack) -> None:
        self._folder, self._database, self._stack = folder, database, stack
        self.client = httpx.AsyncClient(timeout=30, trust_env=False, headers={"authorization": f"Bearer {ADMIN}"})
        self.instances: dict[int, Served] = {}

    async def start(self, number: int) -> Served:
        shell = Shell(self._folder / str(number))
        shell.folder.mkdir(exist_ok=True)
        (shell.data / "server.json").unlink(missing_ok=True)
        shell.variables |= {
            "KEYCAIRN_ROOT_KEY": ROOT_KEY,
            "KEYCAIRN_ADMIN_TOKEN": ADMIN,
            "KEYCAIRN_DATABASE_URL": self._database,
            "KEYCAIRN_DATABASE_USER": USER,
            "KEYCAIRN_DATABASE_PASSWORD": PASSWORD.reveal(),
            "KEYCAIRN_LOG_LEVEL": "error",
        }
        self.instances[number] = await self._stack.enter_async_context(serving(shell))
        return self.instances[number]

    async def api(self, number: int, method: str, path: str, **body: Any) -> Any:
        answer = await self.client.request(method, f"{self.instances[number].url}/api{path}", json=body or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def call(self, number: int) -> int:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
        answer = await self.client.post(
            f"{self.instances[number].url}/v1/chat/completions", json=body, headers={"connection": "close"}
        )
        self.last = answer.text
        return answer.status_code

    async def furnished(self, provider: OpenAIServer) -> str:
        """An account and a model, made by the first instance; the account's id."""
        made = await self.api(
            0, "POST", "/credentials", name="one", provider="openai_compatible", base_url=provider.url, api_key=FIRST
        )
        await self.api(
            0, "POST", "/models", name="gpt-4o", provider="openai_compatible", type="language", credential=made["id"]
        )
        return str(made["id"])


@asynccontextmanager
async def fleet(folder: Path, instances: int) -> AsyncIterator[tuple[Fleet, Any]]:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(surreal_server(folder / "database"))
        made = Fleet(folder, server.url, stack)
        stack.push_async_callback(made.client.aclose)
        for number in range(instances):
            await made.start(number)
        yield made, server


def keys(provider: OpenAIServer) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in provider.requests]


async def test_an_instance_that_was_stopped_never_uses_what_was_taken_away_meanwhile(tmp_path: Path) -> None:
    async with OpenAIServer(key=None) as provider, fleet(tmp_path, 2) as (instances, _):
        credential = await instances.furnished(provider)
        assert await instances.call(1) == 200, instances.last
        for number in range(5):
            before, after = (FIRST, SECOND) if number % 2 == 0 else (SECOND, FIRST)
            assert keys(provider)[-1] == before
            stopped = instances.instances[1].process
            stopped.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            await instances.api(0, "PUT", f"/credentials/{credential}", api_key=after)
            assert time.monotonic() - started < SOON
            waiting = [asyncio.create_task(instances.call(1)) for _ in range(5)]
            await asyncio.sleep(0.3)
            stopped.send_signal(signal.SIGCONT)
            told = [*await asyncio.gather(*waiting), *[await instances.call(1) for _ in range(5)]]
            assert set(told) <= {200, 503}
            assert told[-1] == 200
            assert set(keys(provider)[-told.count(200) :]) == {after}


async def test_a_rolling_restart_under_load_fails_no_call(tmp_path: Path) -> None:
    async with OpenAIServer(key=None) as provider, fleet(tmp_path, 3) as (instances, _):
        await instances.furnished(provider)
        ready, done, told = {0, 1, 2}, asyncio.Event(), Counter[object]()

        async def load(seed: int) -> None:
            turn = seed
            while not done.is_set():
                turn += 1
                number = sorted(ready)[turn % len(ready)]
                try:
                    told[await instances.call(number)] += 1
                except httpx.ConnectError:
                    told["tried at another"] += 1  # as any proxy does where nobody listens
                except httpx.TransportError as error:
                    told[repr(error)] += 1

        callers = [asyncio.create_task(load(seed)) for seed in range(6)]
        for number in range(3):
            ready.discard(number)  # as a proxy that respects readiness, and an orchestrator that tells it
            assert await instances.instances[number].stop() == 0
            await instances.start(number)
            ready.add(number)
            await asyncio.sleep(0.5)
        done.set()
        await asyncio.gather(*callers)
        assert told.keys() <= {200, "tried at another"}, told
        assert told[200] > 50


async def test_instances_outlive_their_database_and_serve_nothing_stale(tmp_path: Path) -> None:
    async with OpenAIServer(key=None) as provider, fleet(tmp_path, 2) as (instances, database):
        credential = await instances.furnished(provider)
        for after in (SECOND, FIRST, SECOND):
            database.kill()
            await asyncio.sleep(1.5)
            assert [await instances.call(number) for number in (0, 1)] == [503, 503]
            await asyncio.to_thread(database.start)
            for number in (0, 1):
                await until_served(instances, number)
            await instances.api(0, "PUT", f"/credentials/{credential}", api_key=after)
            assert [await instances.call(number) for number in (0, 1)] == [200, 200]
            assert keys(provider)[-2:] == [after, after]


async def until_served(instances: Fleet, number: int) -> None:
    end = time.monotonic() + 5 + SOON
    while (status := await instances.call(number)) != 200:
        assert (status, time.monotonic() < end) == (503, True)
        await asyncio.sleep(0.05)
