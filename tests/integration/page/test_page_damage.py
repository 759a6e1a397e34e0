"""A damaged audit log, or a damaged record, is told to whoever keeps the installation: on the page, and by the API."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.house import House
from tests.page import browsing

from keycairn.adapters.memory import MemoryStore
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

ADMIN = "admin-0123456789-0123456789-0123456789"
NOTICE = "The audit log, or a record it tells of, is not as it was left"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    house = House(admin_token=ADMIN)
    kc = await house.open()
    await kc.tokens.create("one", (Scope.INVOKE,))
    await kc.tokens.create("two", (Scope.INVOKE,))
    yield house


async def damage(house: House, *, actor: str) -> None:
    """Have somebody else write an actor into the second event, and the watch look."""
    assert isinstance(house.store, MemoryStore)
    events: dict[str, Any] = house.store.state.tables["event"]
    key = next(key for key, event in events.items() if event.seq == 2)
    events[key] = replace(events[key], actor=actor)
    await house.keycairn.audit_watch.look()


async def test_it_is_told_as_long_as_it_is_damaged_and_to_nobody_else(house: House) -> None:
    kc = house.keycairn
    _, tenant = await kc.tokens.create("tenant", (Scope.ADMIN,), workspace="theirs")
    _, bounded = await kc.tokens.create("bounded", (Scope.CREDENTIALS_READ,), reach=Reach(providers=("openai",)))
    before = (await kc.store.chain())[1].actor

    async with browsing(house, token=ADMIN) as browser:

        async def status(token: Secret | None = None) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token.reveal() if token else ADMIN}"}
            return await browser.client.get("/api/credentials/status", headers=headers)

        assert "damaged" not in (await status()).json()
        assert NOTICE not in (await browser.get("/")).text

        await damage(house, actor="somebody-else")
        assert (await status()).json()["damaged"] == 1
        assert "damaged" not in (await status(tenant)).json()
        assert (await status(bounded)).status_code == 403
        overview = (await browser.get("/")).text
        assert NOTICE in overview
        assert "somebody-else" not in overview
        log = await browser.get("/audit")
        proof = await browser.post("/audit/verify")
        assert (log.status_code, proof.status_code) == (200, 200)
        assert "Event 2 was changed, or is not in its place." in proof.text

        await damage(house, actor=before)
        assert "damaged" not in (await status()).json()
        assert NOTICE not in (await browser.get("/")).text
