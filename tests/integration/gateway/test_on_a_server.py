"""The gateway on a real database server, which another instance writes to as well."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.gateway_house import GatewayHouse, gateway_house
from tests.nights import by_day
from tests.servers.surreal_server import PASSWORD, USER, needs_server, shared_url
from tests.stores import a_database

from keycairn.adapters.surreal import open_surreal
from keycairn.ports.store import Store
from keycairn.testing.openai_server import OpenAIServer

pytestmark = needs_server
Instances = tuple[Store, Store]


@pytest.fixture
async def stores() -> AsyncIterator[Instances]:
    async with a_database() as namespace:
        one, other = [
            await open_surreal(shared_url(), namespace=namespace, user=USER, password=PASSWORD) for _ in range(2)
        ]
        yield one, other
        await one.aclose()
        await other.aclose()


async def called(house: GatewayHouse, token: str) -> httpx.Response:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=20) as client:
        return await client.post(f"{house.url}/v1/chat/completions", json=body)


@pytest.mark.parametrize("round_", by_day(range(10), one_in=10))
async def test_what_one_instance_takes_away_the_other_uses_no_more(round_: int, stores: Instances) -> None:
    async with (
        OpenAIServer(key=None) as provider,
        gateway_house(store=stores[0]) as one,
        gateway_house(store=stores[1]) as other,
    ):
        credential = await one.account("openai", provider.url, f"sk-first-{round_}-0123456789")
        model = await one.model(credential, "gpt-4o")
        assert (await called(other, one.token)).status_code == 200
        await one.rotate(credential, f"sk-second-{round_}-0123456789")
        assert (await called(other, one.token)).status_code == 200
        assert provider.requests[-1].headers["authorization"] == f"Bearer sk-second-{round_}-0123456789"
        token, text = await one.new_token()
        await one.keycairn.tokens.revoke(token.id.removeprefix("token:"))
        assert (await called(other, text)).status_code == 401
        await other.keycairn.models.delete(model.id)
        assert (await called(one, one.token)).status_code == 404
