"""When the database is gone: said as what it is, never as "not found", and over as soon as it is back."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.app_client import AppClient
from tests.house import House

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.memory import MemoryStore
from keycairn.domain.change import Changeset
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CommitPendingError,
    OutcomeUnknownError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)
from keycairn.domain.ids import CredentialId
from keycairn.ports.store import Finish

ADMIN = "admin-0123456789-0123456789-0123456789"
GOOD = {"name": "W", "provider": "openai", "api_key": "sk-123456789-abc"}
Client = AppClient


class FlakyStore(MemoryStore):
    """Answers nothing while `down`, and takes nothing while `refusing`."""

    down = False
    refusing: StoreError | None = None

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailableError

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        self._check()
        return await super().credential(workspace, id)

    async def credentials(self, *args: Any, **query: Any) -> Sequence[Credential]:
        self._check()
        return await super().credentials(*args, **query)

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        self._check()
        if self.refusing is not None:
            raise self.refusing
        await super().commit(changes, finish)

    async def revision(self) -> int:
        self._check()
        return await super().revision()

    async def ping(self) -> None:
        self._check()
        if self.refusing is not None:
            raise self.refusing


@pytest.fixture
def store() -> FlakyStore:
    return FlakyStore()


@pytest.fixture
async def api(store: FlakyStore, serve: Any) -> AsyncIterator[Client]:
    house = House(store=store, admin_token=ADMIN)
    await house.open()
    async with serve(house) as client:
        yield client


async def test_a_rotation_that_cannot_begin_is_refused(store: FlakyStore, serve: Any) -> None:
    house = House(store=store, admin_token=ADMIN, keysets=AesGcmKeysets())
    await house.open()
    async with serve(house) as api:
        store.refusing = StoreFullError("/data")
        before = (await api.get("/api/encryption")).json()
        refused = await api.post("/api/encryption/rotate")
        assert (refused.status_code, refused.json()["code"]) == (507, "store_full")
        assert (await api.get("/api/encryption")).json() == before
        store.refusing = None
        assert (await api.post("/api/encryption/rotate")).status_code == 202
        assert (await api.get("/api/encryption")).json()["keys"].keys() == {"1", "2"}


async def test_an_outage_is_an_outage_and_ends(api: Client, store: FlakyStore) -> None:
    made = (await api.post("/api/credentials", json=GOOD)).json()
    path = f"/api/credentials/{made['id']}"
    assert len((await api.get("/api/credentials")).json()) == 1

    store.down = True
    requests: list[tuple[str, str, Any]] = [
        ("GET", "/api/credentials", None),
        ("GET", path, None),
        ("PUT", path, {"name": "Other"}),
        ("DELETE", path, None),
        ("POST", "/api/credentials", GOOD),
        ("POST", f"{path}/test", None),
        ("GET", "/health/ready", None),
    ]
    for method, place, body in requests:
        answer = await api.request(method, place, json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), (method, place)
        assert answer.headers["retry-after"]
    assert (await api.get("/health/live")).status_code == 200

    store.down = False
    assert (await api.get("/health/ready")).status_code == 200
    assert [item["name"] for item in (await api.get("/api/credentials")).json()] == ["W"]


async def test_a_body_without_a_length_is_limited_too(api: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(100):
            yield b"x" * 1024

    answer = await api.post("/api/credentials", content=endless(), headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic YTpi", "bearer nobody", "Bearer \u00e9", "kc_x", "x" * 9000]
)
async def test_a_strange_authorization_header_is_no_token(api: Client, header: str) -> None:
    answer = await api.get("/api/credentials", headers=[(b"Authorization", header.encode("latin-1"))])

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreFullError("/data"), 507),
        (CommitPendingError("event:E1"), 503),
        (OutcomeUnknownError("event:E1"), 503),
        (StoreError(), 503),
    ],
)
async def test_a_database_that_cannot_be_written_says_why(
    api: Client, store: FlakyStore, error: StoreError, status: int
) -> None:
    store.refusing = error
    answer = await api.post("/api/credentials", json=GOOD)
    assert (answer.status_code, answer.json()["code"]) == (status, error.code)
    event = getattr(error, "event", None)
    assert (event or "") in answer.json()["detail"]
    assert (await api.get("/api/credentials")).status_code == 200
    ready = await api.get("/health/ready")
    assert (ready.status_code, ready.json()["code"]) == (status, error.code)
