"""A gateway in front of local servers of every provider whose SDK is tried."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

from tests.gateway_house import gateway_house
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.cohere_api import CohereServer
from tests.servers.gemini_api import GeminiServer
from tests.servers.keeping_api import KeepingServer
from tests.servers.kin_api import MistralServer, VoyageServer
from tests.servers.ollama_api import OllamaServer
from tests.servers.speech_api import DeepgramServer, ElevenLabsServer

from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

_MODELS = {
    "gpt-4o": Modality.LANGUAGE,
    "text-embedding-3-small": Modality.EMBEDDING,
    "whisper-1": Modality.SPEECH_TO_TEXT,
    "tts-1": Modality.TEXT_TO_SPEECH,
}


class GroqServer(OpenAIServer):
    """At its own path. Source: console.groq.com/docs/api-reference."""

    base: ClassVar[str] = "/openai/v1"


@asynccontextmanager
async def places() -> AsyncIterator[dict[str, str]]:
    """The URLs and the token that clients are given."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(gateway_house())
        native = {
            "anthropic": AnthropicServer(),
            "google": GeminiServer(),
            "mistral": MistralServer(),
            "groq": GroqServer(),
            "cohere": CohereServer(),
            "elevenlabs": ElevenLabsServer(),
            "deepgram": DeepgramServer(),
            "voyage": VoyageServer(),
            "ollama": OllamaServer(),
        }
        found = {"url": house.url, "token": house.token, "anthropic": house.url + "/anthropic"}
        for provider, server in native.items():
            await stack.enter_async_context(server)
            secrets: dict[str, Any] = {"key": KEY} if provider != "ollama" else {}
            made = await house.account(provider, server.url, **secrets)
            found[f"native_{provider}"] = f"{house.url}/native/{made.id}"
            if provider == "anthropic":
                await house.model(made, "claude-sonnet-5")
        openai = await stack.enter_async_context(OpenAIServer())
        account = await house.account("openai", openai.url, key=KEY)
        for name, type in _MODELS.items():
            await house.model(account, name, type)
        for name in ("one", "two"):
            key = f"sk-{name}-0123456789abcdef"
            keeping = await stack.enter_async_context(KeepingServer(name, key=key))
            kept = await house.model(await house.account("openai", keeping.url, key=key), "gpt-kept")
        await house.keycairn.models.set_defaults({Slot.CHAT: kept.id})
        slow = await stack.enter_async_context(OpenAIServer())
        slow.fault = "slow"
        await house.model(await house.account("openai", slow.url, key=KEY), "slow")
        yield found


async def run(*commands: Sequence[str]) -> dict[str, Any]:
    """What came of every operation: each command carries some out, told the places as its last argument."""
    results: dict[str, Any] = {"results": [], "versions": {}}
    async with places() as found:
        for command in commands:
            process = await asyncio.create_subprocess_exec(
                *command, json.dumps(found), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            output, errors = await process.communicate()
            if process.returncode:
                raise RuntimeError(errors.decode()[-2000:])
            told = json.loads(output.splitlines()[-1])
            results["results"] += told["results"]
            results["versions"] |= told["versions"]
    return results
