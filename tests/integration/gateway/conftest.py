from collections.abc import AsyncIterator

import pytest
from tests.gateway_house import GatewayHouse, gateway_house
from tests.servers.anthropic_api import AnthropicServer

from keycairn.testing.openai_server import OpenAIServer


@pytest.fixture
async def house() -> AsyncIterator[GatewayHouse]:
    async with gateway_house() as house:
        yield house


@pytest.fixture
async def openai_server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def anthropic_server() -> AsyncIterator[AnthropicServer]:
    async with AnthropicServer() as server:
        yield server
