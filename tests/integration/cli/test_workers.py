"""Several workers on one port: one service to whoever calls it."""

import asyncio
import os
import signal
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.served import Served, serving
from tests.servers.surreal_server import PASSWORD, USER, fresh_namespace, needs_server, shared_url
from tests.shell import Shell

WORKERS = 3
ROOT_KEY = "base64:" + b64encode(sha256(b"a root key of a test of workers").digest()).decode()


async def test_an_embedded_database_has_one_process_and_says_what_to_do(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    result = await shell.run("serve", "--workers", "2")
    assert result.exit_code == 2
    assert "Several workers need a database server" in result.output
    assert "KEYCAIRN_DATABASE_URL" in result.output
    assert not shell.data.exists()


def workers_of(served: Served) -> list[int]:
    pid = served.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def lasting(client: httpx.AsyncClient, calls: int) -> list[int]:
    """The statuses of calls, each on a connection of its own."""
    return [(await client.get("/api/credentials", headers={"connection": "close"})).status_code for _ in range(calls)]


async def counted(client: httpx.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "keycairn_http_requests_total"
        and (sample.labels["route"], sample.labels["status"]) == ("/api/credentials", "200")
    )


async def all_there(served: Served, former: set[int]) -> list[int]:
    """The workers once none of `former` is missing a successor that serves."""
    async with asyncio.timeout(60):
        while len(now := workers_of(served)) < WORKERS or set(now) & former:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0.05)
    return now


@needs_server
@pytest.mark.night
async def test_workers_are_one_service_that_outlives_each_of_them(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    variables = {
        "KEYCAIRN_ROOT_KEY": ROOT_KEY,
        "KEYCAIRN_DATABASE_URL": shared_url(),
        "KEYCAIRN_DATABASE_NAMESPACE": fresh_namespace(),
        "KEYCAIRN_DATABASE_USER": USER,
        "KEYCAIRN_DATABASE_PASSWORD": PASSWORD.reveal(),
        "KEYCAIRN_LOG_LEVEL": "warning",
    }
    shell.variables |= variables
    async with serving(shell, "--workers", str(WORKERS)) as served:
        first = await all_there(served, set())
        headers = {"authorization": f"Bearer {(shell.data / 'first-token').read_text().strip()}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30, trust_env=False) as client:
            assert await lasting(client, 30) == [200] * 30
            assert await counted(client) == 30
            assert (await shell.run("status")).exit_code == 0, "the commands find it"
            for number, worker in enumerate(first):
                os.kill(worker, signal.SIGKILL if number else signal.SIGTERM)
                while worker in workers_of(served):  # noqa: ASYNC110  # a call that it had begun ends with it
                    await asyncio.sleep(0.01)
                assert await lasting(client, 10) == [200] * 10
                await all_there(served, set(first[: number + 1]))
            before = await counted(client)
            assert await lasting(client, 5) == [200] * 5
            assert await counted(client) == before + 5
        last = workers_of(served)
        assert await served.stop() == 0
        for worker in last:
            with pytest.raises(ProcessLookupError):
                os.kill(worker, 0)
        assert served.said().count("Keycairn is at") == 2, "said by the first worker, and by its successor"
        assert "not as it was left" not in served.said()


@needs_server
@pytest.mark.night
async def test_workers_end_when_their_supervisor_is_gone(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.variables |= {
        "KEYCAIRN_ROOT_KEY": ROOT_KEY,
        "KEYCAIRN_DATABASE_URL": shared_url(),
        "KEYCAIRN_DATABASE_NAMESPACE": fresh_namespace(),
        "KEYCAIRN_DATABASE_USER": USER,
        "KEYCAIRN_DATABASE_PASSWORD": PASSWORD.reveal(),
    }
    async with serving(shell, "--workers", str(WORKERS)) as served:
        workers = await all_there(served, set())
        served.process.kill()
        await served.process.wait()
        async with asyncio.timeout(30):
            for worker in workers:
                with suppress(ProcessLookupError):
                    while True:
                        os.kill(worker, 0)
                        await asyncio.sleep(0.05)
