"""Keys are rotated under calls of real SDKs, uploads and websockets among them; the former one is dead at once."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.crowd.clients import crowd
from tests.crowd.servers import FIRST, KINDS
from tests.gateway_house import GatewayHouse, gateway_house

from keycairn.adapters.file_spool import FileSpools
from keycairn.domain.credential import Credential
from keycairn.testing.running import running_keycairn

EVERY = 0.3
"""Seconds between two rotations of all keys."""
WORKERS, ROTATIONS = 12, 4
CROWD, PROCESSES, MANY = 100, 2, 20


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
        for provider, kind, models in KINDS.values():
            server = await stack.enter_async_context(kind(key=FIRST))
            servers[server] = account = await house.account(provider, server.url, FIRST)
            for name, modality in models.items():
                await house.model(account, name, modality)
        came = await crowd(house.url, house.token, account.id, WORKERS, lambda: rotate(house, servers, ROTATIONS))
    assert came.failed == []
    assert min(came.done.values()) > 0


@contextmanager
def started(*command: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of ours; it ends with its input."""
    with subprocess.Popen(  # noqa: S603  # our own modules
        [sys.executable, "-m", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.night
@pytest.mark.timeout(1200)
def test_no_call_of_a_hundred_workers_fails_while_keys_are_rotated() -> None:
    with started("tests.crowd.servers") as providers, running_keycairn() as keycairn:
        assert providers.stdout is not None
        urls = json.loads(providers.stdout.readline())
        accounts = {
            name: keycairn.add(provider, name=name, base_url=urls[name], api_key=FIRST, models=models)
            for name, (provider, _, models) in KINDS.items()
        }
        told = (keycairn.url, keycairn.token_for("crowd"), accounts["ending"], str(CROWD // PROCESSES))
        with started("tests.crowd.clients", *told) as one, started("tests.crowd.clients", *told) as another:
            for number in range(MANY):
                for name, id in accounts.items():
                    key = f"sk-rotated-{number:06}-{os.urandom(5).hex()}"
                    _tell(providers, f"{name} coming {key}")
                    keycairn.request("PUT", f"/api/credentials/{id}", {"api_key": key})
                    _tell(providers, f"{name} only {key}")
                time.sleep(EVERY)
            came = [json.loads(process.communicate()[0]) for process in (one, another)]
    assert [failure for each in came for failure in each["failed"]] == []
    done: Counter[str] = Counter()
    for each in came:
        done.update(each["done"])
    assert min(done.values()) > CROWD


def _tell(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
