"""What people paste: healed where one reading is possible, else refused by name, never echoed."""

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.domain.errors import InvalidInputError, UnusableKeyError, UrlRefusedError
from keycairn.domain.healing import (
    healed,
    healed_address,
    healed_key,
    healed_service_account,
    healed_version,
    is_short_word,
)
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.plugins.registry import PluginRegistry

KEY = "sk-canary-4f9A7c2E81b6D05x"
NAMES = ("OPENAI_API_KEY", "OPENAI_KEY")
SPECS = {provider.spec.name: provider.spec for provider in PluginRegistry(external=False).all()}


@pytest.mark.parametrize(
    "pasted",
    [
        f'"{KEY}"',
        f"'{KEY}'",
        f"`{KEY}`",
        f"\u201c{KEY}\u201d",
        f" {KEY}\n",
        f"Bearer {KEY}",
        f"bearer   {KEY}",
        f"Authorization: Bearer {KEY}",
        f"authorization: token {KEY}",
        f"x-api-key: {KEY}",
        f"api-key: {KEY}",
        f"OPENAI_API_KEY={KEY}",
        f"OPENAI_API_KEY = {KEY}",
        f"OPENAI_KEY='{KEY}'",
        f'export OPENAI_API_KEY="{KEY}"',
        f"api_key: {KEY}",
        f'"Bearer {KEY}"',
        f"API_KEY={KEY}",
    ],
)
def test_a_key_that_can_be_read_in_one_way_only_is_healed_and_that_is_said(pasted: str) -> None:
    found = healed_key(pasted, "api_key", names=NAMES)
    assert found.text == KEY
    assert bool(found.notes) == (pasted.strip() != KEY)
    assert KEY not in " ".join(found.notes)


@pytest.mark.parametrize(
    "pasted",
    [
        "user_provided",
        "user-provided",
        "# only if you use Claude",
        "#sk-x",
        "sk-a,sk-b",
        "sk-a;sk-b",
        "sk-a sk-b",
        "sk-a\nsk-b",
        "<your key>",
        "<OPENAI_API_KEY>",
        "[key]",
        "{{ key }}",
        "your-api-key",
        "YOUR_API_KEY",
        "your_openai_api_key_here",
        "sk-your-key",
        "yourapikeyhere",
        "sk-...",
        "sk-ab\u2026yz",
        "sk-xxxxxxxxx",
        "xxx",
        "XXXX-XXXX",
        "change-me-1",
        "changeme",
        "sk-change-me",
        "replace_me",
        "replace-with-key",
        "insert-key",
        "paste-here",
        "TODO",
        "placeholder",
        "os.environ/OPENAI_API_KEY",
        "env:OPENAI_API_KEY",
        "${OPENAI_API_KEY}",
        "$OPENAI_API_KEY",
        "%OPENAI_API_KEY%",
        "$(cat key)",
        "{{secrets.KEY}}",
        "********",
        "sk-****abcd",
        "\u2022\u2022\u2022\u2022",
        "sk\u200bcanary",
        "\ufeffsk-canary",
        "sk-canary\u00a0x",
        "sk-can\r\nary",
        "sk-can\x00ary",
        "sk-can\x7fary",
        "sk-cän",
        "\u0455k-canary",
        "ANTHROPIC_API_KEY=sk-x",
        "GROQ_API_KEY: gsk",
        f'"{KEY}',
        f"{KEY}'",
        f'{{"api_key": "{KEY}"}}',
        "https://api.openai.com/v1",
        '""',
        "OPENAI_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "sk-",
        "sk-ant-api03-",
        "gsk_",
        "---",
        ".",
        "Bearer",
        "",
    ],
)
@pytest.mark.parametrize("own_server", [False, True])
def test_what_is_no_key_is_refused_by_its_field_and_not_echoed(pasted: str, *, own_server: bool) -> None:
    with pytest.raises(UnusableKeyError) as caught:
        healed_key(pasted, "api_key", names=NAMES, own_server=own_server)
    assert list(caught.value.fields) == ["api_key"]
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "word", ["my-api-key", "my_openai_key", "my secret", "api-key", "test-key", "token", "example"]
)
def test_a_word_for_a_key_is_none_at_a_provider_s_own_host(word: str) -> None:
    with pytest.raises(UnusableKeyError):
        healed_key(word, "api_key")


LOCAL = (
    "ollama",
    "lm-studio",
    "EMPTY",
    "none",
    "sk-1234",
    "token-abc123",
    "fake-api-key",
    "sk-no-key-required",
    "N/A",
    "no_key",
    "dummy_key",
)


@pytest.mark.parametrize("word", LOCAL)
def test_a_word_of_local_servers_is_a_key_there_and_nowhere_else(word: str) -> None:
    assert healed_key(word, "api_key", own_server=True).text == word
    with pytest.raises(UnusableKeyError):
        healed_key(word, "api_key")
    assert is_short_word(word)


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        "sk-1",
        "gsk_0aB1",
        "abcd1234==",
        "AIzaSyA-b_c",
        "key-of-the-good-row-0123456789",
        "a.b.c",
        "sk-proj-xXx0x",
        "p@ss!w0rd#1",
        "sk-or-v1-todos0",
        "id:secret",
        "x" * 40 + "y",
    ],
)
def test_a_key_stays_as_it_is(key: str) -> None:
    assert healed_key(key, "api_key", names=NAMES) == healed_key(f" {key}\n", "api_key")
    assert healed_key(key, "api_key").text == key


@given(st.text(max_size=60))
def test_healing_ends_and_what_it_gives_can_stand_in_a_header(text: str) -> None:
    try:
        found = healed_key(text, "api_key", names=NAMES, own_server=True)
    except UnusableKeyError:
        return
    assert found.text.isascii()
    assert found.text.isprintable()
    assert " " not in found.text
    assert healed_key(found.text, "api_key", names=NAMES, own_server=True).text == found.text


OPENAI, AZURE, GOOGLE, COHERE = (SPECS[name].native_operations for name in ("openai", "azure", "google", "cohere"))


@pytest.mark.parametrize(
    ("pasted", "operations", "meant"),
    [
        ("https://h.example/v1/chat/completions", OPENAI, "https://h.example/v1"),
        ("https://h.example/v1/chat/completions/", OPENAI, "https://h.example/v1"),
        ("https://h.example/v1/responses", OPENAI, "https://h.example/v1"),
        ("https://h.example/v1/embeddings", OPENAI, "https://h.example/v1"),
        ("https://h.example/v1/audio/speech", OPENAI, "https://h.example/v1"),
        ("https://h.example/v1/messages", OPENAI, "https://h.example/v1"),
        ("https://h.example/chat/completions", OPENAI, "https://h.example"),
        ("http://h.example:8000/team/v1/images/generations", OPENAI, "http://h.example:8000/team/v1"),
        ('"https://h.example/v1"', OPENAI, "https://h.example/v1"),
        ("<https://h.example/v1>", OPENAI, "https://h.example/v1"),
        ("OPENAI_BASE_URL=https://h.example/v1", OPENAI, "https://h.example/v1"),
        ("https://h.example/openai/deployments/gpt-4o/chat/completions", AZURE, "https://h.example/openai"),
        ("https://h.example/openai/deployments/gpt-4o", AZURE, "https://h.example/openai"),
        ("https://h.example/openai/responses", AZURE, "https://h.example/openai"),
        ("https://h.example/v1beta/models/gemini-2.5-flash:generateContent", GOOGLE, "https://h.example/v1beta"),
        ("https://h.example/v2/chat", COHERE, "https://h.example"),
    ],
)
def test_a_pasted_endpoint_becomes_the_base_url_it_stands_for(
    pasted: str, operations: tuple[str, ...], meant: str
) -> None:
    found = healed_address(pasted, operations)
    assert found.text == meant
    assert found.notes
    assert healed_address(meant, operations).notes == ()


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example",
        "https://h.example/",
        "https://h.example/v1",
        "https://h.example/openai/v1",
        "https://h.example/chat",
        "https://h.example/models-of-ours",
        "https://embeddings",
        "https://h.example/completions-proxy/v1",
        "https://h.example/v1/chat/completions?x=1",
        "not a url",
        "",
    ],
)
def test_a_base_url_stays_as_it_is(url: str) -> None:
    assert healed_address(url, OPENAI) == healed_address(f" {url} ", OPENAI)
    assert healed_address(url, OPENAI).text == url


@pytest.mark.parametrize(
    "pasted",
    ["api-version=2024-10-21", "?api-version=2024-10-21", '"2024-10-21"', "API-VERSION = 2024-10-21", "2024-10-21"],
)
def test_a_pasted_api_version_is_the_version_alone(pasted: str) -> None:
    assert healed_version(pasted).text == "2024-10-21"


def test_the_version_in_an_azure_address_becomes_its_field_unless_another_came_with_it() -> None:
    url = "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21"
    found = healed(SPECS["azure"], {"endpoint": url}, {}, before={}, elsewhere={})
    assert found.settings == {"endpoint": "https://x.openai.azure.com/openai", "api_version": "2024-10-21"}
    assert set(found.notes) == {"endpoint"}
    both = {"endpoint": url, "api_version": "api-version=2024-10-21"}
    assert healed(SPECS["azure"], both, {}, before={}, elsewhere={}).settings["api_version"] == "2024-10-21"
    with pytest.raises(InvalidInputError) as caught:
        healed(SPECS["azure"], {**both, "api_version": "2023-05-15"}, {}, before={}, elsewhere={})
    assert "api_version" in caught.value.fields


PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n"
ACCOUNT = {"type": "service_account", "project_id": "p", "private_key": PEM, "client_email": "a@p.iam.example"}
WHOLE = json.dumps(ACCOUNT)


IN_BASE64 = b64encode(WHOLE.encode()).decode()
SPELLED = {
    "with a byte order mark": "\ufeff" + WHOLE,
    "with newlines escaped twice": json.dumps({**ACCOUNT, "private_key": PEM.replace("\n", "\\n")}),
    "with newlines escaped three times": json.dumps({**ACCOUNT, "private_key": PEM.replace("\n", "\\\\n")}),
    "in base64": IN_BASE64,
    "in base64 with lines": "\n".join(IN_BASE64[at : at + 76] for at in range(0, len(IN_BASE64), 76)),
    "in urlsafe base64 without padding": urlsafe_b64encode(WHOLE.encode()).decode().rstrip("="),
    "as JSON in JSON": json.dumps(WHOLE),
    "as JSON in JSON in JSON": json.dumps(json.dumps(WHOLE)),
    "with its quotes escaped": json.dumps(WHOLE)[1:-1],
    "in single quotes": f"'{WHOLE}'",
    "behind a variable's name": f"GOOGLE_APPLICATION_CREDENTIALS_JSON={WHOLE}",
    "behind a variable's name, in quotes": f"export VERTEX_SERVICE_ACCOUNT='{WHOLE}'",
    "behind a variable's name, in base64": f"VERTEX_SERVICE_ACCOUNT={IN_BASE64}",
    "as a data URL": f"data:application/json;base64,{IN_BASE64}",
    "with bare line breaks": WHOLE.replace("\\n", "\n"),
    "as the value of an object": json.dumps({"credentials": ACCOUNT}),
    "as the text of an object": json.dumps({"GOOGLE_APPLICATION_CREDENTIALS_JSON": WHOLE}),
    "in base64 with a byte order mark": b64encode(("\ufeff" + WHOLE).encode()).decode(),
    "with its key on one line": json.dumps({**ACCOUNT, "private_key": PEM.strip().replace("\n", " ")}),
}


@pytest.mark.parametrize("form", SPELLED)
def test_a_service_account_in_any_spelling_is_the_same_account(form: str) -> None:
    found = healed_service_account(SPELLED[form], "service_account")
    assert json.loads(found.text) == ACCOUNT
    assert found.notes
    assert "MIIE" not in " ".join(found.notes)
    again = healed_service_account(found.text, "service_account")
    assert (again.text, again.notes) == (found.text, ())


def test_a_whole_service_account_stays_byte_for_byte() -> None:
    text = json.dumps(ACCOUNT, indent=2)
    assert healed_service_account(text + "\n", "service_account").text == text


def without(name: str, **changes: Any) -> str:
    return json.dumps({key: value for key, value in {**ACCOUNT, **changes}.items() if key != name})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PEM, "only the private key"),
        (PEM.replace("\n", "\\n"), "only the private key"),
        ("/etc/keys/account.json", "a path"),
        ("AIzaSyA1234567890abcdefghijkl", "an API key"),
        (without("client_email"), "lacks client_email"),
        (without("private_key"), "lacks private_key"),
        (without("", private_key="MIIE"), "BEGIN and END"),
        (without("", type="authorized_user"), "a person's own sign-in"),
        (without("", type="external_account"), "federated identity"),
        (without("", type=7), "type is not service_account"),
        ("[1]", "no JSON of a service account"),
        ("{", "no JSON of a service account"),
        ("{}", "lacks client_email and private_key"),
        ('"' * 3, "no JSON of a service account"),
        ("[" * 5000, "no JSON of a service account"),
    ],
    ids=lambda one: one[:24] if isinstance(one, str) and "MIIE" not in one else "",
)
def test_what_is_no_service_account_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(UnusableKeyError, match=why) as caught:
        healed_service_account(text, "service_account")
    assert "MIIE" not in str(caught.value)


ACME = ProviderSpec(
    name="acme",
    label="Acme",
    modalities=(),
    fields=(
        FieldSpec(name="api_key", label="Key", secret=True, required=True, env=("ACME_API_KEY",)),
        FieldSpec(name="password", label="Password", secret=True, env=("ACME_PASSWORD",)),
        FieldSpec(name="base_url", label="URL", kind=FieldKind.URL),
    ),
    hosts=("api.acme.example", "*.acme.example"),
    key_addresses={"al-": "https://other.example/v1"},
)


def test_a_short_word_is_refused_for_a_providers_own_host_and_taken_for_ones_own_server() -> None:
    secrets = {"api_key": Secret("none")}
    for settings in ({}, {"base_url": "https://api.acme.example/v1"}, {"base_url": "https://eu.acme.example"}):
        with pytest.raises(UnusableKeyError):
            healed(ACME, settings, secrets, before={}, elsewhere={})
    healed(ACME, {"base_url": "http://localhost:8000/v1"}, secrets, before={}, elsewhere={})
    healed(ACME, {}, secrets, before={"base_url": "http://localhost:8000/v1"}, elsewhere={})
    with pytest.raises(UnusableKeyError):
        healed(ACME, {"base_url": None}, secrets, before={"base_url": "http://localhost:8000/v1"}, elsewhere={})


def test_another_providers_key_goes_to_no_host_of_this_one() -> None:
    others = {"sk-ant-": "those of Anthropic do"}
    with pytest.raises(UnusableKeyError, match="Anthropic"):
        healed(ACME, {}, {"api_key": Secret("sk-ant-0123")}, before={}, elsewhere=others)
    healed(ACME, {"base_url": "https://proxy.example"}, {"api_key": Secret("sk-ant-0123")}, before={}, elsewhere=others)


def test_a_key_that_is_for_one_address_goes_only_there() -> None:
    with pytest.raises(UnusableKeyError, match=r"https://other\.example/v1"):
        healed(ACME, {}, {"api_key": Secret("al-0123")}, before={}, elsewhere={})
    healed(ACME, {"base_url": "https://other.example/v1"}, {"api_key": Secret("al-0")}, before={}, elsewhere={})


def test_a_secret_that_is_no_key_may_be_anything() -> None:
    odd = "two words, a 'quote'\nand a line"
    found = healed(ACME, {}, {"password": Secret(odd)}, before={}, elsewhere={})
    assert found.secrets["password"] == Secret(odd)


class TestHostsBeyondAscii:
    @pytest.mark.parametrize(
        ("pasted", "meant"),
        [
            ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
            ("https://B\u00dcCHER.Example/v1", "https://xn--bcher-kva.example/v1"),
            ("https://bu\u0308cher.example:8443/v1", "https://xn--bcher-kva.example:8443/v1"),
            ("http://\u4f8b\u3048.\u30c6\u30b9\u30c8/v1", "http://xn--r8jz45g.xn--zckzah/v1"),
            ("https://api.\u043f\u0440\u0438\u043c\u0435\u0440.example", "https://api.xn--e1afmkfd.example"),
            ('"https://caf\u00e9.example/v1/chat/completions"', "https://xn--caf-dma.example/v1"),
        ],
    )
    def test_are_written_as_the_dns_has_them(self, pasted: str, meant: str) -> None:
        healed = healed_address(pasted)
        assert healed.text == meant
        assert any("xn--" in note for note in healed.notes)
        parse_url(healed.text)

    @pytest.mark.parametrize(
        "pasted",
        [
            "https://stra\u00dfe.example",  # IDNA 2003: strasse.example, another host
            "https://\uff11\uff12\uff17.0.0.1",  # full-width digits of an address
            "https://evil\uff0fexample.com",
            "https://evil\u3002example.com",
            "https://ex\u00e4mple\u200d.com",
            "https://\u2100.example",
            "https://" + "\u00fc" * 70 + ".example",
        ],
        ids=ascii,
    )
    def test_that_have_no_one_form_are_refused_with_the_reason(self, pasted: str) -> None:
        assert healed_address(pasted).text == pasted
        with pytest.raises(UrlRefusedError, match="beyond ASCII"):
            parse_url(pasted, field="base_url")

    def test_in_a_path_it_is_the_path(self) -> None:
        with pytest.raises(UrlRefusedError, match="its path holds"):
            parse_url("https://one.example/b\u00fccher")
