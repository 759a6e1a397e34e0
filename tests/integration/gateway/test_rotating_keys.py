"""Clients go on streaming while the keys of their accounts rotate themselves: no call fails."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.gateway_house import GatewayHouse, gateway_house
from tests.nights import by_day
from tests.servers.key_apis import OpenRouterKeyServer

from keycairn.domain.key_rotation.record import Policy, RotationOutcome, rotation_id
from keycairn.domain.secret import Secret
from keycairn.testing import ADMIN, Answer, Recorded, sse


class StreamingServer(OpenRouterKeyServer):
    """Streams an answer to whoever has a key that works; `refused` counts calls with one that does not."""

    refused = 0

    def refusal(self) -> tuple[object, int]:
        self.refused += 1
        return super().refusal()

    def use(self, recorded: Recorded) -> Answer:
        if recorded.path.endswith("/chat/completions"):
            words = [
                {"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("one", "two", "three", "four")
            ]
            return sse(*words)
        return super().use(recorded)


class Clients:
    """Clients that stream one call after the other from the models, until told to stop."""

    def __init__(self, house: GatewayHouse, models: list[str], number: int) -> None:
        self._house = house
        self._models = models
        self._tasks = [asyncio.create_task(self._stream(one)) for one in range(number)]
        self.good = 0
        self.failed: list[Any] = []
        self.stop = False

    async def _stream(self, number: int) -> None:
        headers = {"authorization": f"Bearer {self._house.token}"}
        async with httpx.AsyncClient(base_url=self._house.url, headers=headers, timeout=30) as http:
            while not self.stop:
                body = {"model": self._models[number % len(self._models)], "stream": True}
                body |= {"messages": [{"role": "user", "content": "Hi"}]}
                async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
                    text = await answer.aread()
                if answer.status_code == 200 and b"four" in text and b"[DONE]" in text:
                    self.good += 1
                else:
                    self.failed.append((answer.status_code, text[:200]))

    async def done(self) -> None:
        self.stop = True
        await asyncio.gather(*self._tasks)


@pytest.mark.parametrize("size", by_day([(2, 4), (10, 64)], one_in=2), ids=str)
async def test_no_call_fails_while_keys_rotate(size: tuple[int, int]) -> None:
    accounts, clients = size
    async with StreamingServer() as server, gateway_house() as house:
        keys = [f"sk-own-canary-{number:010}" for number in range(accounts)]
        ids = []
        for number, key in enumerate(keys):
            server.new_key("made by hand")
            hash = list(server.keys)[-1]
            server.keys[hash].secret = key
            server.keys[server._hash(key)] = server.keys.pop(hash)
            account = await house.credential("openrouter", key, base_url=server.url)
            await house.model(account, f"m{number}")
            ids.append(account.id)
            await house.keycairn.key_rotations.set_up(
                account.id,
                policy=Policy(overlap_hours=1),
                settings={"management_url": server.url},
                secrets={"management_key": Secret(ADMIN)},
            )
        running = Clients(house, [f"m{number}" for number in range(accounts)], clients)
        await asyncio.sleep(0.2)
        for id in ids:
            await house.keycairn.key_rotations.rotate(id)
        for _ in range(200):
            found = [await house.keycairn.store.key_rotation(rotation_id(id)) for id in ids]
            runs = [one.run for one in found if one is not None and one.run is not None]
            if not runs:
                break
            await house.keycairn.key_rotations.work()
            await asyncio.sleep(0.02)
            house.clock.tick(1.0 if min(run.due for run in runs) <= house.clock.time else 600.0)
        await asyncio.sleep(0.2)
        await running.done()
        assert not running.failed
        assert running.good > clients * 2
        ended = [await house.keycairn.key_rotations.get(id, workspace="default") for id in ids]
        assert [one.rotation.last.outcome for one in ended if one.rotation.last] == [RotationOutcome.DONE] * accounts
        assert not set(keys) & set(server.living)
        assert len(server.living) == accounts + 1
