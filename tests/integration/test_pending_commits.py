"""A service whose engine fails behind the redo log: what is told of a change that was accepted, and that it is there.

The files of the process may not grow, and the redo log has its room already: so the engine meets the end of the disk.
"""

import asyncio
import resource
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.served import serving
from tests.shell import Shell

from keycairn.app import Secret, Settings, open_keycairn

pytestmark = pytest.mark.timeout(120)
"""Seconds; a change waits for the engine for five of them, before it is told that it is pending."""
TOKEN = "an-admin-token-of-more-than-32-characters"  # opens nothing
PAGE = 4096
MOST = 30
"""Changes within which the engine must have met the end."""


def may_grow(pid: int, size: int) -> None:
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))


def largest(folder: Path) -> int:
    return max(file.stat().st_size for file in folder.rglob("*") if file.is_file())


async def created(http: httpx.AsyncClient, name: str) -> httpx.Response:
    body = {"provider": "openai", "name": name, "modalities": ["language"], "api_key": f"sk-{name:0>40}"}
    return await http.post("/api/credentials", json=body)


async def read(http: httpx.AsyncClient, path: str) -> Any:
    return (await http.get(path)).raise_for_status().json()


async def test_a_change_that_cannot_wait_is_told_pending_with_its_event_and_is_there(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.variables["KEYCAIRN_ADMIN_TOKEN"] = TOKEN
    kept: list[str] = []
    async with (
        serving(shell) as served,
        httpx.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http,
    ):
        may_grow(served.process.pid, largest(shell.data / "db") + PAGE)
        for number in range(MOST):
            answer = await created(http, f"account-{number}")
            kept.append(f"account-{number}")
            if answer.status_code != 201:
                break
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (503, "commit_pending"), problem
        event = problem["event"]
        assert event in problem["detail"]
        assert "retry-after" not in answer.headers, "who heeds it makes the change twice"
        assert [one["name"] for one in await read(http, "/api/credentials")] == kept, "it is there, and reading goes on"
        assert (await http.get("/health/ready")).status_code == 503

        may_grow(served.process.pid, resource.RLIM_INFINITY)
        async with asyncio.timeout(20):
            while (await http.get("/health/ready")).status_code != 200:  # noqa: ASYNC110  # in another process
                await asyncio.sleep(0.1)
        assert event in [one["id"] for one in await read(http, "/api/audit")]
        assert (await created(http, "behind-it")).status_code == 201
        kept.append("behind-it")
        served.process.kill()
        await served.process.wait()
    settings = Settings(data_dir=shell.data, admin_token=Secret(TOKEN), env_file=None, external_plugins=False)
    async with open_keycairn(settings) as keycairn:
        assert [one.credential.name for one in await keycairn.credentials.list()] == kept
        assert event in [one.id for one in await keycairn.audit.events()]
        assert (await keycairn.audit.verify()).intact
