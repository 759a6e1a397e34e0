"""The config a provider gives is what esperanto takes: its classes reach the server, with the key."""

from io import BytesIO
from typing import ClassVar

import pytest
from esperanto import AIFactory
from esperanto.common_types import ChatCompletion
from tests.contract.provider_cases import CASES, PROVIDERS, WAV, E, L, S, T
from tests.servers.vertex_api import service_account

from keycairn.domain.errors import ClientConfigError
from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.loaded import loaded
from keycairn.testing import LocalServer, ProviderCase

VERTEX = PROVIDERS["vertex"]
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
    if (case.name, type) == ("bedrock", E):
        pytest.skip("Bedrock has no embeddings in OpenAI's form")
    if case.name == "vertex":
        pytest.skip("esperanto's classes for Vertex take no base URL; see below")
    async with case.server() as server:
        if case.name == "google":
            monkeypatch.setenv("GEMINI_API_BASE_URL", server.origin)
        config = dict(case.provider.client_config(case.account(server.url), type))
        name = loaded(case.provider).client_name_for(type)
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


class TestVertex:
    """esperanto's class for chats takes the path of a service account; nothing else may act as another identity."""

    SETTINGS: ClassVar = {"project": "my-project", "location": "europe-west1"}

    def account(self, *, path: str = "", sealed: bool = False) -> Account:
        secrets = {"service_account": Secret(service_account())} if sealed else {}
        settings = {**self.SETTINGS, **({"credentials_path": path} if path else {})}
        return Account(provider="vertex", settings=settings, secrets=secrets)

    def test_a_file_is_handed_over_with_the_project_and_the_location(self) -> None:
        config = VERTEX.client_config(self.account(path="/keys/vertex.json"), L)
        assert config == {
            "vertex_project": "my-project",
            "vertex_location": "europe-west1",
            "credentials_path": "/keys/vertex.json",
        }
        with pytest.raises((OSError, ImportError)):  # of this file, never of another identity
            AIFactory.create_language(VERTEX.client_name, "gemini-2.5-flash", config=dict(config))

    @pytest.mark.parametrize(
        ("sealed", "path"), [(True, ""), (True, "/keys/vertex.json"), (False, "")], ids=["sealed", "both", "neither"]
    )
    @pytest.mark.parametrize("type", [None, L, E, T])
    def test_anything_else_is_an_error_that_says_what_to_do(
        self, type: Modality | None, path: str, *, sealed: bool
    ) -> None:
        with pytest.raises(ClientConfigError, match="gateway"):
            VERTEX.client_config(self.account(path=path, sealed=sealed), type)

    @pytest.mark.parametrize("type", [E, T])
    def test_what_reads_its_project_elsewhere_is_refused(self, type: Modality) -> None:
        with pytest.raises(ClientConfigError, match="project"):
            VERTEX.client_config(self.account(path="/keys/vertex.json"), type)
