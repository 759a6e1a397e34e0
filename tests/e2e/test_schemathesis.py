"""The running service against its own description: every route, every check, as an administrator and as next to nobody.

KEYCAIRN_TEST_EXAMPLES=200 makes it look longer.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from tests.fakes import FakeEnvironment
from tests.house import ROOT_KEY
from tests.nights import by_day

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.clock import SystemClock
from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.surreal import open_surreal
from keycairn.app.api.gateway_paths import TAG
from keycairn.app.keycairn import Keycairn
from keycairn.app.server import create_app, fronted
from keycairn.domain.errors import CannotConnectError
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope
from keycairn.domain.url import parse_url
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.http import Request, Response
from keycairn.ports.upstream import UpstreamAnswer, UpstreamRequest

COMMAND = str(Path(sys.executable).with_name("schemathesis"))
ADMIN = "admin-0123456789-0123456789-0123456789"
EXAMPLES = os.environ.get("KEYCAIRN_TEST_EXAMPLES", "1")
CONFIG = """
[checks.not_a_server_error]
# No provider can be reached from here, and 502 is how that is said.
expected-statuses = ["2xx", "3xx", "4xx", "502"]

[checks.positive_data_acceptance]
# A schema cannot say that a cursor was given out by us, that a record exists, what a provider's fields are, or how
# long a path and its query are together.
expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "409", "412", "414", "422", "502"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "414", "415", "422", "428"]
"""


class NoWayOut:
    """Reaches nobody: the accounts that are made up here are tested with no real provider."""

    def __init__(self) -> None:
        self.tokens = MemoryTokenCache()

    def vet(self, url: str, *, field: str | None = None) -> None:
        parse_url(url, field=field)

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        raise CannotConnectError

    async def start(self, request: UpstreamRequest, *, connect_within: float, answer_within: float) -> UpstreamAnswer:
        raise CannotConnectError

    async def aclose(self) -> None: ...


class HastyClock(SystemClock):
    """Lets a minute pass between two looks, so that the limit of failed attempts never answers first."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic(self) -> float:
        self._looks += 1
        return 60.0 * self._looks


@pytest.fixture
async def service() -> AsyncIterator[tuple[str, Keycairn]]:
    store = await open_surreal("mem://")
    keycairn = Keycairn(
        store=store,
        opener=AesGcmKeysets(),
        registry=PluginRegistry(external=False),
        http=NoWayOut(),
        upstream=NoWayOut(),
        environment=FakeEnvironment({"OPENAI_API_KEY": "sk-env-0123456789abcdef"}),
        clock=HastyClock(),
        ids=UlidIds(),
        admin_token=Secret(ADMIN),
    )
    await keycairn.vault.unlock(ROOT_KEY)
    config = uvicorn.Config(
        fronted(create_app(keycairn=keycairn)),
        port=0,
        http="httptools",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the test's process keeps its own
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn tells it in no other way
        await asyncio.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", keycairn
    server.should_exit = True
    await task
    await keycairn.rotation.aclose()
    await store.aclose()


@pytest.mark.parametrize("who", by_day(["admin", "weak", "caller"], one_in=3))
async def test_no_request_finds_a_fault(service: tuple[str, Keycairn], who: str, tmp_path: Path) -> None:
    url, keycairn = service
    part = ["--exclude-tag", TAG]
    if who == "caller":  # there is no list of the files and batches that other tokens made, by whatever method
        part = ["--include-tag", TAG, "--exclude-path-regex", "/(files|batches)$"]
    token = ADMIN
    if who == "weak":
        _, text = await keycairn.tokens.create("weak", [Scope.MODELS_READ])
        token = text.reveal()
    (tmp_path / "schemathesis.toml").write_text(CONFIG)

    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "run",
        f"{url}/openapi/openapi.json",
        *("--header", f"Authorization: Bearer {token}"),
        *part,
        *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
        *("--max-examples", EXAMPLES, "--seed", "7", "--continue-on-failure", "--no-shrink"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()

    told = said.decode()
    assert process.returncode == 0, told[-12_000:]
    assert "Tested: " in told
