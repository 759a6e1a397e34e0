"""Services that start on one database server: all at once, and where it is not there yet."""

import asyncio
import os
import time
from base64 import b64encode
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from tests.nights import by_day
from tests.served import COMMAND
from tests.servers.surreal_server import (
    PASSWORD,
    USER,
    SurrealServer,
    free_port,
    fresh_namespace,
    needs_binary,
    needs_server,
    shared_url,
)

from keycairn.app.keycairn import Keycairn
from keycairn.app.settings import Settings
from keycairn.app.wiring import open_keycairn
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret

ROOT_KEY = "base64:" + b64encode(sha256(b"a root key of a test").digest()).decode()

SOON = 10.0
"""Seconds from the return of a database until a service is ready; 1 on a quiet machine."""


def settings_on_server(folder: Path, namespace: str) -> Settings:
    return Settings(
        root_key=parse_root_key(Secret(ROOT_KEY)),
        data_dir=folder,
        database_url=shared_url(),
        database_namespace=namespace,
        database_user=USER,
        database_password=PASSWORD,
        external_plugins=False,
    )


@needs_server
@pytest.mark.parametrize("round_", by_day(range(20), one_in=20))
async def test_instances_that_start_at_once_on_an_empty_database_all_come_up(round_: int, tmp_path: Path) -> None:
    namespace = fresh_namespace()
    instances = 2 + round_ % 7
    async with AsyncExitStack() as stack:

        async def start(number: int) -> Keycairn:
            return await stack.enter_async_context(open_keycairn(settings_on_server(tmp_path / str(number), namespace)))

        started = await asyncio.gather(*(start(number) for number in range(instances)))
        assert [each.vault.why_sealed for each in started] == [None] * instances
        assert len({(await each.store.keyset()).install_id for each in started}) == 1  # type: ignore[union-attr]
        assert (await started[0].audit.verify()).intact


@needs_binary
async def test_a_service_lives_without_its_database_and_is_ready_when_it_comes(tmp_path: Path) -> None:
    database = SurrealServer(tmp_path / "database")
    log = tmp_path / "log"
    port = free_port()
    variables = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "KEYCAIRN_DATA_DIR": str(tmp_path / "data"),
        "KEYCAIRN_ROOT_KEY": ROOT_KEY,
        "KEYCAIRN_DATABASE_URL": database.url,
        "KEYCAIRN_DATABASE_USER": USER,
        "KEYCAIRN_DATABASE_PASSWORD": PASSWORD.reveal(),
        "KEYCAIRN_EXTERNAL_PLUGINS": "off",
    }
    with log.open("w") as stream:
        process = await asyncio.create_subprocess_exec(
            COMMAND, "serve", "--port", str(port), env=variables, stdout=stream, stderr=stream
        )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as service:
        try:
            await until(service, "/health/live", 200, within=60)
            for path in ("/health/ready", "/api/credentials", "/v1/models"):
                await not_there(service, path)
            assert f"Waiting for the database at {database.url}" in log.read_text()
            for _ in range(2):
                await asyncio.to_thread(database.start)
                await until(service, "/health/ready", 200, within=SOON)
                assert (await service.get("/v1/models")).status_code == 401
                database.kill()
                await not_there(service, "/health/ready")
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            database.kill()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def not_there(service: httpx.AsyncClient, path: str) -> None:
    """The service lives, and says at `path` that its database does not answer."""
    assert (await service.get("/health/live")).status_code == 200
    answer = await service.get(path)
    assert (answer.status_code, "cannot be reached" in answer.text) == (503, True), answer.text


async def until(service: httpx.AsyncClient, path: str, status: int, *, within: float) -> None:
    end = time.monotonic() + within
    while True:
        try:
            answer = await service.get(path)
        except httpx.TransportError as error:
            told: object = error
        else:
            if answer.status_code == status:
                return
            told = answer.text
        assert time.monotonic() < end, told
        await asyncio.sleep(0.02)
