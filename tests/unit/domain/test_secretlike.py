"""What is taken for a secret by its name or its looks."""

import pytest

from keycairn.domain.errors import SecretLikeFieldError
from keycairn.domain.secretlike import check_no_key, holds_secretlike, looks_secret, names_secret

WORDS = ("api key", "access token", "client secret", "private key", "secret access key", "auth token", "shared key")
ONE = (
    "token",
    "secret",
    "password",
    "passphrase",
    "authorization",
    "bearer",
    "credential",
    "credentials",
    "cookie",
    "key",
)


def forms(words: str) -> list[str]:
    parts = words.split()
    title = [part.title() for part in parts]
    return [
        "".join(parts),
        "_".join(parts),
        "-".join(parts),
        ".".join(parts),
        " ".join(parts),
        "".join(title),
        parts[0] + "".join(title[1:]),
        "_".join(parts).upper(),
        "".join(parts).upper(),
        "X-" + "-".join(title),
        "my_" + "_".join(parts),
        "_".join(parts) + "_2",
        "\uff41\uff50\uff49\uff4b\uff45\uff59" if words == "api key" else "_".join(parts) + "s",
    ]


@pytest.mark.parametrize("name", [form for words in (*WORDS, *ONE) for form in forms(words)])
def test_a_name_of_a_secret_is_one_in_any_spelling(name: str) -> None:
    assert names_secret(name)
    assert holds_secretlike({name: "hunter2"})
    assert holds_secretlike({"deep": [{"er": {name: ["x", "hunter2"]}}]})
    assert holds_secretlike({name: {"value": "hunter2"}})
    assert holds_secretlike([{"name": name, "value": "hunter2"}])


@pytest.mark.parametrize(
    "config",
    [
        {"max_tokens": 4096, "context_tokens": "8192", "tokenizer": "cl100k", "stop_token": "<|end|>"},
        {"num_ctx": 8192, "temperature": 0.7, "from_tomorrow": {"a": [1, True]}, "is_default": True},
        {"deployment": "gpt-4o-2024-08-06", "region": "westeurope", "id": "0b6f1c9a-3d52-4b8e-9a70-5f1f0c7f2a11"},
        {"auth_type": "bearer", "token_url": "https://login.example/oauth", "secret_name": "prod/openai"},
        {"keyboard": "de", "monkey": "business", "passage": "a", "author": "me", "public_key": "shown"},
        {"api_key": None, "token": "", "password": False, "secret": "  "},
        {"model": "accounts/fireworks/models/llama-v3p1-405b-instruct", "url": "https://proxy.example/v1/models"},
        {"endpoint_llm": "https://a.example/v1", "note": "ask Ada about the budget of the second quarter"},
    ],
)
def test_configuration_of_other_kinds_is_kept(config: dict[str, object]) -> None:
    assert not holds_secretlike(config)


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-abcdefghijkl",
        "gsk_abcdefghijklmnop",
        "AIzaSyA-1234567890abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_abcdefghijklmnop",
        "xai-abcdefghijklmnop",
        "Bearer abcdefghijklmnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "-----BEGIN PRIVATE KEY-----",
        "https://user:hunter22@proxy.example",
        "0123456789abcdef0123456789abcdef",
        "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ",
        "curl -H 'Authorization: token0123'",
        '{"apikey": "hunter2222"}',
        "see: sk-proj-abcdefghijkl.",
    ],
)
def test_a_text_that_looks_like_a_key_is_taken_for_one_wherever_it_stands(text: str) -> None:
    assert looks_secret(text)
    assert holds_secretlike({"note": text})
    assert holds_secretlike({text: 1})
    assert holds_secretlike(["a", {"b": [text]}])


def test_configuration_of_endless_depth_is_no_configuration() -> None:
    config: object = "x"
    for _ in range(100):
        config = [config]
    assert holds_secretlike(config)


KEYS = [
    "sk-proj-Zt7Qm2Lk9Wc4Rb8Nx1Vd6Hs3",
    "my key sk-ant-api03-x7Yz91AbCdEf22 of May",
    "gsk_8Hn4Bv6Cx2Zl9Qw3Er5T",
    "AIzaSyD4x9Qm2Lk7Wc8Rb1Nx5Vd6Hs3Jp0Fy",
    "Bearer 0f9A7c2E81b6D05x4411",
    "https://user:5c1D8e2F7a4B9063@api.example.com/v1",
    "kc_01KD3Z8QW5T7M2XR9VNB4HGE6C_Qm7Xz2Lp9Rw4Tn8Vb1Kd6Hs3Jf5Gy0Ca_8f3a91c2",
]
NAMES = [
    "sk-learn-production-account",
    "hf-inference-endpoint-eu-2024",
    "hf-llama-3-8b-instruct-v2",
    "pk-printing-room-2-account",
    "https://my-resource-12345678.openai.azure.com/v1",
    "ft:gpt-4o-mini-2024-07-18:org::AbC123xyz9",
    "9e107d9d372bb6826bd81d3542a419d6",
    "550e8400-e29b-41d4-a716-446655440000",
    "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "The bearer of good tidings",
]


@pytest.mark.parametrize("text", KEYS)
def test_a_key_in_a_field_that_is_shown_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(SecretLikeFieldError) as caught:
        check_no_key({"name": text, "timeout": 5})
    assert list(caught.value.fields) == ["name"]
    assert text not in str(caught.value)


@pytest.mark.parametrize("text", NAMES)
def test_names_and_addresses_are_no_keys(text: str) -> None:
    check_no_key({"name": text})
