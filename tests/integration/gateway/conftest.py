from collections.abc import AsyncIterator

import httpx
import pytest
from tests.gateway_house import GatewayHouse, Others, gateway_house
from tests.servers.anthropic_api import AnthropicServer

from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY


@pytest.fixture
async def house() -> AsyncIterator[GatewayHouse]:
    async with gateway_house() as house:
        yield house


@pytest.fixture
async def openai_server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def others(house: GatewayHouse, openai_server: OpenAIServer) -> Others:
    """Ten calls to another provider, each answered within a second."""
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(credential, "gpt-4o")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}

    async def served() -> bool:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}"}, timeout=1.0) as client:
            answers = [await client.post(f"{house.url}/v1/chat/completions", json=body) for _ in range(10)]
        return all(answer.status_code == 200 for answer in answers)

    return served


@pytest.fixture
async def anthropic_server() -> AsyncIterator[AnthropicServer]:
    async with AnthropicServer() as server:
        yield server
