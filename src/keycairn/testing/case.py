"""What the conformance suite has to know about a provider."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keycairn.domain.errors import (
    AddressNotFoundError,
    GarbledAnswerError,
    InvalidAuthError,
    NoPermissionError,
    ProviderDownError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account, SettingValue
from keycairn.domain.secret import Secret
from keycairn.plugins.payloads import silent_wav
from keycairn.ports.provider import Provider
from keycairn.testing.openai_server import MODALITIES, SOUND, VECTOR, OpenAIServer
from keycairn.testing.server import KEY, LocalServer

Fault = int | str
"""A fault of `LocalServer`."""

OUTCOMES: Mapping[Fault, type[ProviderError]] = {
    401: InvalidAuthError,
    402: QuotaExhaustedError,
    403: NoPermissionError,
    404: AddressNotFoundError,
    429: RateLimitedError,
    500: ProviderDownError,
    503: ProviderDownError,
    "html": GarbledAnswerError,
    "truncated": GarbledAnswerError,
    "empty": GarbledAnswerError,
    "wrong_shape": GarbledAnswerError,
    "redirect": GarbledAnswerError,
    "slow": ProviderTimeoutError,
}
"""The error a check ends with when the server has that fault: the very class, no subclass."""
OF_MODELS: tuple[Fault, ...] = (401, 429, 500, "html", "empty", "wrong_shape")
"""Those of them that a model is tried with."""
UNUSABLE_KEYS = ("sk-a\r\nX-Evil: 1", "sk-ä", "sk-\x00", "sk-“quoted”")
"""Keys no header can carry."""


class Matching:
    """Equals every text that the regular expression `pattern` matches as a whole: for signatures and times."""

    def __init__(self, pattern: str) -> None:
        self.pattern: re.Pattern[str] = re.compile(pattern)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.pattern.fullmatch(other) is not None

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return f"Matching({self.pattern.pattern!r})"


@dataclass(frozen=True)
class Sent:
    """One request the provider sends: exactly this and no other.

    `target` is path and query. `body` is compared with `Recorded.content`: JSON as it decodes, the fields of a form,
    or bytes; `unittest.mock.ANY` stands for what differs each time. `headers`, besides the content type; None are
    the case's `auth`.
    """

    method: str
    target: str
    body: Any = None
    headers: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Try:
    """A tried model: the target and the body of the one POST, and the `details` that are told of it."""

    target: str
    body: Any
    details: str


@dataclass(frozen=True, kw_only=True)
class ProviderCase:
    """A provider, the server it is run against, and what it is expected to send and to find there.

    `models` is what discovery finds, by type. `tries` has a model of each declared modality. `settings` gives an
    account's settings from the server's URL. `auth` are the headers that every call carries, and that `authorize` adds:
    texts, or for what differs each time `Matching` and `unittest.mock.ANY`.
    `wrong` are secrets that the server refuses; None are the case's own, each with another text. `outcomes` are the
    differences to `OUTCOMES`, None for a fault the check survives.

    `public_list`: discovery works with a wrong key. `key_in_url`: the provider's documentation demands the key in the
    URL; without it, a key in a URL fails the suite.
    """

    provider: Provider
    server: Callable[[], LocalServer]
    models: Mapping[str, Modality | None]
    checks: Sequence[Sent]
    discovers: Sequence[Sent]
    tries: Mapping[tuple[Modality, str], Try]
    auth: Mapping[str, object] = field(default_factory=lambda: {"Authorization": f"Bearer {KEY}"})
    settings: Callable[[str], Mapping[str, SettingValue]] = lambda url: {"base_url": url}
    secrets: Mapping[str, str] = field(default_factory=lambda: {"api_key": KEY})
    wrong: Mapping[str, str] | None = None
    outcomes: Mapping[Fault, type[ProviderError] | None] = field(default_factory=dict)
    public_list: bool = False
    key_in_url: bool = False

    @property
    def name(self) -> str:
        """The provider's."""
        return self.provider.spec.name

    def account(self, url: str, secrets: Mapping[str, str] | None = None) -> Account:
        """An account at the server `url`, as the services open it, with the case's secrets unless others are given."""
        spec = self.provider.spec
        settings = {name: spec.check_setting(name, value) for name, value in self.settings(url).items()}
        sealed = self.secrets if secrets is None else secrets
        return Account(
            provider=spec.name,
            settings=spec.effective(settings),
            secrets={name: Secret(value) for name, value in sealed.items()},
        )

    def wrong_secrets(self) -> Mapping[str, str]:
        """Secrets the server refuses."""
        return dict.fromkeys(self.secrets, f"{KEY}-of-another") if self.wrong is None else self.wrong


def openai_tries(limit: str = "max_tokens", prefix: str = "/v1") -> dict[tuple[Modality, str], Try]:
    """What `OpenAICompatible` sends to try a model of each type, with `limit` as the name of the token limit."""
    chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], limit: 16}
    form = {"model": b"whisper-1", "response_format": b"json", "file": silent_wav()}
    speech = {"model": "tts-1", "input": "Hi", "voice": "alloy", "response_format": "mp3"}
    vector = {"model": "text-embedding-3-small", "input": "Hi"}
    return {
        (Modality.LANGUAGE, "gpt-4o"): Try(f"{prefix}/chat/completions", chat, "It answered a greeting."),
        (Modality.EMBEDDING, "text-embedding-3-small"): Try(
            f"{prefix}/embeddings", vector, f"{len(VECTOR)} dimensions"
        ),
        (Modality.SPEECH_TO_TEXT, "whisper-1"): Try(
            f"{prefix}/audio/transcriptions", form, "It heard 1 words in silence."
        ),
        (Modality.TEXT_TO_SPEECH, "tts-1"): Try(f"{prefix}/audio/speech", speech, f"{len(SOUND)} bytes of sound"),
    }


def openai_case(provider: Provider, **changes: Any) -> ProviderCase:
    """The case of a provider that is `OpenAICompatible` and nothing else; `changes` are fields of `ProviderCase`."""
    declared = provider.spec.modalities
    listing = (Sent("GET", "/v1/models"),)
    fields: dict[str, Any] = {
        "server": OpenAIServer,
        "models": {name: type if type in declared else None for name, type in MODALITIES.items()},
        "checks": listing,
        "discovers": listing,
        "tries": {(type, name): tried for (type, name), tried in openai_tries().items() if type in declared},
    }
    return ProviderCase(provider=provider, **{**fields, **changes})
