"""litellm as a client, in an environment of its own: it pins another version of the SDK these tests use."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.gateway_house import GatewayHouse

from keycairn.domain.modality import Modality
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import VECTOR, OpenAIServer
from keycairn.testing.server import KEY

PACKAGES = ("litellm>=1.80,<2", "mcp")
"""The second is imported by the first where a call has tools, and named by one of its extras only."""
ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
"""It would ask other hosts for prices, and tell them about itself."""

CALLS = """
import asyncio, json, sys
import litellm

url, token, sound = sys.argv[1:]
openai = {"api_key": token, "api_base": url + "/v1", "num_retries": 0}
hello = [{"role": "user", "content": "Hello"}]
tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}

async def delayed():
    answer = await litellm.acompletion(model="openai/openai/gpt-4o", messages=hello, tools=[tool], **openai)
    stream = await litellm.acompletion(model="openai/gpt-4o", messages=hello, stream=True, **openai)
    deltas = [chunk.choices[0].delta.content or "" async for chunk in stream]
    vectors = await litellm.aembedding(model="openai/text-embedding-3-small", input=["a"], **openai)
    return answer.choices[0].message.content, "".join(deltas), vectors.data[0]["embedding"]

def failure(**call):
    try:
        litellm.completion(messages=hello, **{**openai, **call})
    except Exception as error:
        return type(error).__name__

with open(sound, "rb") as file:
    heard = litellm.transcription(model="openai/whisper-1", file=file, **openai)
claude = litellm.completion(
    model="anthropic/claude-sonnet-5", messages=hello, api_key=token, api_base=url + "/anthropic", max_tokens=9
)
found = {
    "async": asyncio.run(delayed()),
    "sync": litellm.completion(model="openai/gpt-4o", messages=hello, **openai).choices[0].message.content,
    "heard": heard.text,
    "claude": claude.choices[0].message.content,
    "unknown": failure(model="openai/no-such"),
    "token": failure(model="openai/gpt-4o", api_key="kc_wrong"),
    "late": failure(model="openai/slow", timeout=0.5),
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def python(pytestconfig: pytest.Config) -> Path:
    """A Python that has litellm, made once and kept in pytest's cache. Skips where it cannot be installed."""
    assert pytestconfig.cache is not None
    home = pytestconfig.cache.mkdir("litellm")
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", "--without-pip", str(home)],
            [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile", *PACKAGES],
        ):
            result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
            if result.returncode:
                pytest.skip(f"litellm cannot be installed here: {result.stderr.strip()[-200:]}")
        done.touch()
    return python


@pytest.mark.night
@pytest.mark.timeout(600)
async def test_litellm_as_a_client(
    house: GatewayHouse, openai_server: OpenAIServer, anthropic_server: Any, python: Path, tmp_path: Path
) -> None:
    account = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(account, "gpt-4o")
    await house.model(account, "text-embedding-3-small", Modality.EMBEDDING)
    await house.model(account, "whisper-1", Modality.SPEECH_TO_TEXT)
    other = await house.credential("anthropic", KEY, base_url=anthropic_server.url)
    await house.model(other, "claude-sonnet-5")
    sound = tmp_path / "a.wav"
    sound.write_bytes(silent_wav())

    async with OpenAIServer(models={"slow": "language"}) as silent:
        silent.fault = "slow"
        await house.model(await house.credential("openai", KEY, base_url=silent.url), "slow")
        process = await asyncio.create_subprocess_exec(
            python, "-W", "ignore", "-c", CALLS, house.url, house.token, str(sound),
            env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()[-2000:]
    assert json.loads(output.splitlines()[-1]) == {
        "async": ["Hello!", "Hello!", VECTOR],
        "sync": "Hello!",
        "heard": "you",
        "claude": "Hello!",
        "unknown": "NotFoundError",
        "token": "AuthenticationError",
        "late": "Timeout",
    }
    assert openai_server.requests[0].headers["authorization"] == f"Bearer {KEY}"
