"""A gateway in front of local servers of every provider whose SDK is tried."""

import asyncio
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tests.gateway_house import GatewayHouse, gateway_house
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.anthropic_keeping import AnthropicKeeper
from tests.servers.cohere_api import CohereServer
from tests.servers.gemini_api import GeminiServer
from tests.servers.handling import handling, piped
from tests.servers.keeping_api import KeepingServer
from tests.servers.kin_api import MistralServer, VoyageServer
from tests.servers.listen_api import ListenServer
from tests.servers.live_api import LiveServer
from tests.servers.ollama_api import OllamaServer
from tests.servers.realtime_api import RealtimeServer
from tests.servers.speech_api import DeepgramServer, ElevenLabsServer
from tests.tls import make_authority

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
        keeper = await stack.enter_async_context(AnthropicKeeper("ant", key=KEY))
        await house.model(await house.account("anthropic", keeper.url, key=KEY), "claude-opus-4-8")
        realtime = await stack.enter_async_context(RealtimeServer())
        await house.model(await house.account("openai", realtime.url, key=KEY), "gpt-realtime")
        await _live(house, stack, found)
        yield found


async def _live(house: GatewayHouse, stack: AsyncExitStack, found: dict[str, str]) -> None:
    """Accounts whose SDKs open websockets; and a way in by TLS, since Google's opens none without."""
    for place, provider, server in (("live", "google", LiveServer()), ("listen", "deepgram", ListenServer())):
        await stack.enter_async_context(server)
        made = await house.account(provider, server.url, key=KEY)
        found[place] = f"{house.url}/native/{made.id}"
    authority = make_authority("localhost")
    behind = piped(urlsplit(house.url).port or 0)
    port = await stack.enter_async_context(handling(behind, authority.server_context()))
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    certificate = Path(folder, "ca.pem")
    certificate.write_bytes(authority.pem)
    found["authority"] = str(certificate)
    found["tls"] = f"https://localhost:{port}"
    found["live"] = found["live"].replace(house.url, found["tls"])


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
