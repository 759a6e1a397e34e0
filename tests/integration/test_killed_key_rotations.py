"""`keycairn serve` killed at every step of rotations, with the provider's keys in a process that outlives it.

Eight credentials rotate at once, again and again until each step met as many kills as `KEYCAIRN_ROTATION_KILLS` says.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.served import KEPT, serving
from tests.shell import Shell

from keycairn.testing import ADMIN

KILLS = int(os.environ.get("KEYCAIRN_ROTATION_KILLS", "20"))
TOKEN = "admin-0123456789-0123456789-0123456789"
KEYS = [f"sk-or-v1-canary-{number:010}" for number in range(8)]
CASES: dict[str, tuple[str, dict[str, float]]] = {
    "planned": ("planned", {}),
    "creating, before there is a key": ("creating", {"before POST": 3.0}),
    "creating, before the answer": ("creating", {"after POST": 3.0}),
    "created": ("created", {}),
    "proven": ("proven", {}),
    "switched": ("switched", {}),
    "overlap": ("overlap", {}),
    "revoking, before it is revoked": ("revoking", {"before DELETE": 3.0}),
    "revoking, before the answer": ("revoking", {"after DELETE": 3.0}),
    "revoked": ("revoked", {}),
}
"""Each step that is stored, and how long the provider takes for what it stands for."""
TOGETHER = {"before GET": 3.0}
"""The first of a rotation, so that all of them go on side by side."""
pytestmark = [pytest.mark.night, pytest.mark.timeout(3600)]  # minutes of waiting for what a provider may take


class Provider:
    """The process that has the keys."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def control(self, waits: dict[str, float] | None = None) -> Any:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.request("GET" if waits is None else "POST", f"{self.url}/control", json=waits)
        return answer.json()


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.key_management_process", *KEYS),
        stdout=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in KEPT if name in os.environ},
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        yield Provider((await process.stdout.readline()).decode().strip())
    finally:
        process.kill()
        await process.wait()


class Api:
    """The service's API, of whichever process serves it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=self._url, headers=headers, timeout=60) as http:
            answer = await http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def until(self, holds: Callable[[Sequence[Any]], bool], seconds: float) -> Sequence[Any]:
        """The rotations once `holds` is true of them."""
        end = time.monotonic() + seconds
        while True:
            found: Sequence[Any] = await self.ask("GET", "/api/key-rotations")
            if holds(found):
                return found
            assert time.monotonic() < end, found
            await asyncio.sleep(0.05)


async def prepared(api: Api, url: str) -> list[str]:
    """A credential for each key, whose former one is revoked at once."""
    ids: list[str] = []
    for number, key in enumerate(KEYS):
        body = {"provider": "openrouter", "name": f"c{number}", "api_key": key, "base_url": f"{url}/api/v1"}
        ids.append((await api.ask("POST", "/api/credentials", body))["id"])
        managing = {"settings": {"management_url": f"{url}/api/v1"}, "secrets": {"management_key": ADMIN}}
        await api.ask("PUT", f"/api/credentials/{ids[-1]}/key-rotation", {"overlap_hours": 0, **managing})
    return ids


def at(step: str, rotations: Sequence[Any]) -> int:
    return sum(one["run"] is not None and one["run"]["step"] == step for one in rotations)


@pytest.mark.parametrize("case", CASES)
async def test_after_every_kill_one_living_key_is_left_and_it_is_ours(case: str, tmp_path: Path) -> None:
    step, waits = CASES[case]
    shell, killed = Shell(tmp_path), Counter[str]()
    shell.variables["KEYCAIRN_ADMIN_TOKEN"] = TOKEN
    async with provider() as there:
        async with serving(shell) as served:
            ids = await prepared(Api(served.url), there.url)
        while killed[step] < KILLS:
            await there.control({**TOGETHER, **waits})
            async with serving(shell) as served:
                api = Api(served.url)
                before = {one["credential"]: one["key_id"] for one in await api.ask("GET", "/api/key-rotations")}
                for id in ids:
                    await api.ask("POST", f"/api/credentials/{id}/key-rotation/rotate")
                seen = await api.until(lambda found: at(step, found) >= len(ids) // 2, 120)
                await served.stop(signal.SIGKILL)
            killed.update(one["run"]["step"] for one in seen if one["run"])
            await there.control({})
            async with serving(shell) as served:
                api = Api(served.url)
                ended = await api.until(lambda found: all(one["run"] is None for one in found), 600)
                assert [one["last"]["outcome"] for one in ended] == ["done"] * len(ids)
                living = (await there.control())["living"]
                assert sorted(sha256(key.encode()).hexdigest() for key in living) == sorted(
                    one["key_id"] for one in ended
                )
                assert not [one for one in ended if one["key_id"] == before[one["credential"]]]
                for id in ids:
                    assert (await api.ask("POST", f"/api/credentials/{id}/test"))["success"]
    print(case, dict(killed))  # noqa: T201  # how often it was killed where
