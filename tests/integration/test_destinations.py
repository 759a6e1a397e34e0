"""Where calls really go: no setting leads a secret elsewhere unless the secret comes along."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import httpx
import pytest
from msgspec import Struct
from tests.nowhere import Recorder, Went, admit, invoking, keycairn
from tests.servers.vertex_api import service_account

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError, KeycairnError
from keycairn.domain.modality import Modality
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, SettingValue
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.plugins.registry import PluginRegistry

BUILT_IN = [provider.spec for provider in PluginRegistry(external=False).all()]
KEYED = [spec for spec in BUILT_IN if spec.secrets]
EVIL = "evil.example"
HOSTILE: Mapping[FieldKind, tuple[SettingValue, ...]] = {
    FieldKind.URL: (f"https://{EVIL}/v1", f"https://{EVIL}"),
    FieldKind.INTEGER: (7,),
    FieldKind.PATH: ("/etc/passwd", f"//{EVIL}/x"),
    FieldKind.TEXT: (
        *(EVIL, f"//{EVIL}", f"@{EVIL}/", f"{EVIL}/", f"{EVIL}#", f"{EVIL}?", f"x.{EVIL}", f"https://{EVIL}"),
        *("evil", "../..", "a\\b", "%2f%2fevil", "a&b=c", "global", "2024-10-21"),
    ),
}
"""What somebody might set a field of that kind to, who wants a call to go elsewhere."""
TYPES = (
    ("/v1/chat/completions", Modality.LANGUAGE),
    ("/v1/completions", Modality.LANGUAGE),
    ("/v1/responses", Modality.LANGUAGE),
    ("/v1/embeddings", Modality.EMBEDDING),
    ("/v1/audio/speech", Modality.TEXT_TO_SPEECH),
    ("/anthropic/v1/messages", Modality.LANGUAGE),
)


class House(Struct):
    kc: Keycairn
    recorder: Recorder
    client: httpx.AsyncClient


@pytest.fixture
async def house() -> AsyncIterator[House]:
    recorder = Recorder()
    kc = await keycairn(recorder, recorder)
    async with invoking(kc) as client:
        yield House(kc, recorder, client)


def secrets_of(spec: ProviderSpec) -> dict[str, Secret]:
    made = {one.name: Secret(f"sk-{one.name}-0123456789") for one in spec.secrets}
    return {**made, "service_account": Secret(service_account())} if "service_account" in made else made


def settings_of(spec: ProviderSpec) -> dict[str, SettingValue]:
    """Every URL at a host of its own, and what else is required."""
    urls = {
        one.name: f"https://{one.name.replace('_', '-')}.example/v1"
        for one in spec.settings
        if one.kind is FieldKind.URL
    }
    return {**urls, **{one.name: f"some-{one.name}" for one in spec.settings if one.required and one.name not in urls}}


async def contacted(house: House, credential: Credential) -> Went:
    """Where each secret goes in a check, a discovery, a try of each type, and every call of the gateway."""
    house.recorder.went.clear()
    kc, spec = house.kc, house.kc.registry.get(credential.provider).spec
    await kc.probing.test(credential.id)
    with suppress(KeycairnError):
        await kc.probing.discover(credential.id)
    models = {model.type: model for model in await kc.credentials.linked_models(credential.id)}
    for type in spec.modalities:
        model = models.get(type) or await kc.models.create(
            f"m-{type}", provider=spec.name, type=type, credential=credential.id
        )
        await kc.probing.try_model(model.id)
    for path, type in TYPES:
        if type in spec.modalities:
            await house.client.post(path, json={"model": f"m-{type}", "input": "x", "messages": []})
    for operation in (*spec.native_operations, *(f"POST {path}" for path in spec.native_paths)):
        method, _, path = operation.replace("**", "x").replace("*", "x").partition(" ")
        await house.client.request(method, f"/native/{credential.id}/{path}", json={"model": "x"})
    return {name: set(origins) for name, origins in house.recorder.went.items()}


async def account(house: House, spec: ProviderSpec, settings: Mapping[str, SettingValue]) -> Credential:
    await admit(house.kc, house.client)
    secrets = secrets_of(spec)
    house.recorder.texts = {name: secret.reveal() for name, secret in secrets.items()} | {"bought": "Bearer bought"}
    return (await house.kc.credentials.create(spec.name, name="W", settings=settings, secrets=secrets)).credential


def places(spec: ProviderSpec, settings: Mapping[str, SettingValue], secret: str) -> set[str]:
    return {
        parse_url(str(settings[p.name])).origin
        for p in spec.places(secret)
        if p.kind is FieldKind.URL and p.name in settings
    }


@pytest.mark.parametrize("spec", KEYED, ids=lambda spec: spec.name)
async def test_a_secret_is_sent_where_its_declaration_says_and_nowhere_else(house: House, spec: ProviderSpec) -> None:
    settings = settings_of(spec)
    went = await contacted(house, await account(house, spec, settings))
    assert went, "nothing was sent"
    for name, origins in went.items():
        assert origins <= places(spec, settings, "service_account" if name == "bought" else name), name


async def test_of_several_servers_none_learns_the_key_of_another(house: House) -> None:
    spec = house.kc.registry.get("openai_compatible").spec
    whole = settings_of(spec)
    for left_out in whole:
        settings = {name: kept for name, kept in whole.items() if name != left_out}
        credential = await account(house, spec, settings)
        went = await contacted(house, credential)
        assert {f"api_key_{kind}" for kind in ("llm", "embedding", "tts")} <= went.keys() | {
            left_out.replace("endpoint", "api_key")
        }
        for name, origins in went.items():
            assert origins <= places(spec, settings, name), f"{name} without {left_out}"
        await house.kc.credentials.delete(credential.id)


CHANGES = [(spec, field) for spec in KEYED for field in spec.settings]


@pytest.mark.parametrize(("spec", "field"), CHANGES, ids=[f"{spec.name}.{field.name}" for spec, field in CHANGES])
@pytest.mark.parametrize("start", ["set", "unset"])
async def test_whatever_a_setting_is_changed_to_the_secrets_go_where_they_went_or_are_asked_for(
    house: House, spec: ProviderSpec, field: FieldSpec, start: str
) -> None:
    settings = (
        settings_of(spec)
        if start == "set"
        else {one.name: f"some-{one.name}" for one in spec.settings if one.required and one.kind is not FieldKind.URL}
    )
    if any({*settings, *(one.name for one in spec.secrets)}.isdisjoint(group) for group in spec.required_groups):
        pytest.skip("this provider has no host of its own")
    credential = await account(house, spec, settings)
    went = await contacted(house, credential)
    for value in (*HOSTILE[field.kind], None):
        try:
            await house.kc.credentials.update(credential.id, CredentialPatch(settings={field.name: value}))
        except InvalidInputError:
            assert (await house.kc.credentials.get(credential.id)).credential.settings == credential.settings
            continue
        assert await contacted(house, credential) == went, value
        await house.kc.credentials.update(
            credential.id, CredentialPatch(settings={field.name: settings.get(field.name)}, secrets=secrets_of(spec))
        )
