"""Services that start on one database server: all at once, and where it is not there yet."""

import asyncio
from base64 import b64encode
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from tests.nights import by_day
from tests.servers.surreal_server import PASSWORD, USER, fresh_namespace, needs_server, shared_url

from keycairn.app.keycairn import Keycairn
from keycairn.app.settings import Settings
from keycairn.app.wiring import open_keycairn
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret

ROOT_KEY = "base64:" + b64encode(sha256(b"a root key of a test").digest()).decode()


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
