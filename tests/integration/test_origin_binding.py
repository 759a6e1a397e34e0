"""A changed origin needs the secret again: for every URL setting of every provider, at every door."""

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from tests.fakes import FakeClock, FakeEnvironment, FakeIds
from tests.house import ROOT_KEY, FakeKeysets, NoHttp

from keycairn.adapters.anchor import MemoryAnchor
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import SecretReentryRequiredError
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, SettingValue
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

ADMIN = "admin-token-0123456789-0123456789"
BUILT_IN = [provider.spec for provider in PluginRegistry(external=False).all()]
PLACES = [(spec, field) for spec in BUILT_IN if spec.secrets for field in spec.settings if field.kind is FieldKind.URL]
IDS = [f"{spec.name}.{field.name}" for spec, field in PLACES]


@pytest.fixture
async def kc() -> Keycairn:
    keycairn = Keycairn(
        store=MemoryStore(),
        opener=FakeKeysets(),
        registry=PluginRegistry(external=False),
        http=NoHttp(),
        environment=FakeEnvironment(),
        clock=FakeClock(step=0.001),
        ids=FakeIds(),
        anchor=MemoryAnchor(),
        admin_token=Secret(ADMIN),
    )
    await keycairn.vault.unlock(ROOT_KEY)
    return keycairn


@pytest.fixture
async def client(kc: Keycairn) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(Litestar(plugins=[KeycairnPlugin(keycairn=kc)])) as client:
        client.headers["authorization"] = f"Bearer {ADMIN}"
        yield client


async def stored(kc: Keycairn, spec: ProviderSpec, field: FieldSpec, url: str | None) -> Credential:
    """A complete account with every secret, `field` set to `url` or not at all."""
    settings: dict[str, SettingValue] = {
        one.name: f"https://first.example/{one.name}" if one.kind is FieldKind.URL else f"some-{one.name}"
        for one in spec.settings
        if one.required or any(one.name in group for group in spec.any_of)
    }
    settings.pop(field.name, None)
    if url is not None:
        settings[field.name] = url
    secrets = {one.name: Secret(f"sk-{one.name}-0123456789") for one in spec.secrets}
    return (await kc.credentials.create(spec.name, name="W", settings=settings, secrets=secrets)).credential


@pytest.mark.parametrize(("spec", "field"), PLACES, ids=IDS)
@pytest.mark.parametrize("new", ["https://evil.example/v1", "http://first.example/v1", "https://first.example:444/v1"])
async def test_in_process_and_over_http_another_origin_asks_for_the_secret_and_changes_nothing(
    kc: Keycairn, client: AsyncTestClient[Litestar], spec: ProviderSpec, field: FieldSpec, new: str
) -> None:
    before = await stored(kc, spec, field, "https://first.example/v1")
    with pytest.raises(SecretReentryRequiredError):
        await kc.credentials.update(before.id, CredentialPatch(settings={field.name: new}))
    flat = await client.put(f"/api/credentials/{before.id}", json={field.name: new})
    nested = await client.put(f"/api/credentials/{before.id}", json={"config": {field.name: new}})
    assert "secret_reentry_required" in {flat.json().get("code"), nested.json().get("code")}
    assert (await kc.credentials.get(before.id)).credential == before


@pytest.mark.parametrize(("spec", "field"), PLACES, ids=IDS)
async def test_with_all_its_secrets_the_account_moves_and_its_old_seal_opens_no_more(
    kc: Keycairn, spec: ProviderSpec, field: FieldSpec
) -> None:
    before = await stored(kc, spec, field, "https://first.example/v1")
    secrets = {one.name: Secret(f"sk-new-{one.name}-0123456789") for one in spec.secrets}
    patch = CredentialPatch(settings={field.name: "https://second.example/v1"}, secrets=secrets)
    after = (await kc.credentials.update(before.id, patch)).credential
    opened = await kc.accounts.open(after)
    assert {name: secret.reveal() for name, secret in opened.secrets.items()} == {
        name: secret.reveal() for name, secret in secrets.items()
    }
    assert not set(after.sealed.values()) & set(before.sealed.values())


@pytest.mark.parametrize(("spec", "field"), PLACES, ids=IDS)
async def test_another_path_of_the_same_origin_needs_nothing(
    kc: Keycairn, spec: ProviderSpec, field: FieldSpec
) -> None:
    before = await stored(kc, spec, field, "https://first.example/v1")
    after = await kc.credentials.update(
        before.id, CredentialPatch(settings={field.name: "https://FIRST.example:443/v2"})
    )
    assert (await kc.accounts.open(after.credential)).secrets
