"""The config a provider gives is what esperanto takes: its classes reach the server, with the key."""

from io import BytesIO
from typing import Any

import pytest
from esperanto import AIFactory
from esperanto.common_types import ChatCompletion
from tests.contract.provider_cases import CASES, WAV, E, L, S, T

from keycairn.domain.modality import Modality
from keycairn.testing import LocalServer, ProviderCase

CALLS = [(case, type, model) for case in CASES for type, model in case.tries]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """esperanto falls back to variables; the config has to be enough without them."""
    for case in CASES:
        for field in case.provider.spec.fields:
            for name in field.env:
                monkeypatch.delenv(name, raising=False)


def carries_the_key(case: ProviderCase, server: LocalServer) -> bool:
    request = server.requests[-1]
    in_header = all(request.headers.get(name.lower()) == value for name, value in case.auth.items())
    return in_header or request.query.get("key") == server.key


@pytest.mark.parametrize(("case", "type", "model"), CALLS, ids=[f"{c.name}-{t}" for c, t, _ in CALLS])
async def test_esperanto_reaches_the_provider(
    case: ProviderCase, type: Modality, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (case.name, type) == ("mistral", T):
        pytest.skip("only esperanto's own class knows Mistral's voices, and that one takes no base URL for embeddings")
    if (case.name, type) == ("bedrock", E):
        pytest.skip("Bedrock has no embeddings in OpenAI's form")
    if case.name == "vertex":
        pytest.skip("esperanto's classes for Vertex take no base URL; see below")
    async with case.server() as server:
        if case.name == "google":
            monkeypatch.setenv("GEMINI_API_BASE_URL", server.origin)
        config = dict(case.provider.client_config(case.account(server.url), type))
        name = case.provider.client_name
        if type is L:
            language = AIFactory.create_language(name, model, config=config)
            answer = await language.achat_complete([{"role": "user", "content": "Hi"}])
            assert isinstance(answer, ChatCompletion)
            assert answer.choices[0].message.content == "Hello!"
            await language.aclose()
        elif type is E:
            embedding = AIFactory.create_embedding(name, model, config=config)
            (vector,) = await embedding.aembed(["Hi"])
            assert vector
            await embedding.aclose()
        elif type is S:
            listener = AIFactory.create_speech_to_text(name, model, config=config)
            sound = BytesIO(WAV)
            sound.name = "silence.wav"
            assert (await listener.atranscribe(sound)).text
            await listener.aclose()
        elif type is T:
            speaker = AIFactory.create_text_to_speech(name, model, config=config)
            voice = model if case.name == "deepgram" else "alloy"  # whose models are voices
            assert (await speaker.agenerate_speech("Hi", voice=voice)).audio_data
            await speaker.aclose()
        assert server.requests
        assert carries_the_key(case, server)


def test_esperanto_takes_the_project_and_the_location_of_a_vertex_account() -> None:
    """For chats; its classes for embeddings and speech read the project from the process environment only."""
    (case,) = (case for case in CASES if case.name == "vertex")
    config = dict(case.provider.client_config(case.account("https://vertex.example"), L))
    client: Any = AIFactory.create_language(case.provider.client_name, "gemini-2.5-flash", config=config)
    assert (client.project_id, client.location) == ("my-project", "us-central1")
