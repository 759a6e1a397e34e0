"""A changed destination needs the secret again: for every setting of every provider that says where, at every door."""

from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import permutations

import pytest
from litestar import Litestar
from msgspec import Struct
from msgspec.structs import replace
from tests.app_client import AppClient
from tests.fakes import FakeCipher, FakeClock, FakeEnvironment, FakeIds
from tests.house import ROOT_KEY, FakeKeysets, NoHttp
from tests.nights import by_day
from tests.samples import a_secret

from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.keys.resealing import resealed
from keycairn.domain.audit import IN_PROCESS, Action, EventFilter
from keycairn.domain.change import Reseal
from keycairn.domain.credential import Credential, seal_context
from keycairn.domain.errors import SecretReentryRequiredError, UndecryptableError
from keycairn.domain.options import Options
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, SettingValue
from keycairn.domain.sealed import FORMER_SUITE, is_former
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

ADMIN = "admin-token-0123456789-0123456789"
BUILT_IN = [provider.spec for provider in PluginRegistry(external=False).all()]
PLACES = [(spec, field) for spec in BUILT_IN if spec.secrets for field in spec.settings if field.kind is FieldKind.URL]
FIELDS = pytest.mark.parametrize(
    ("spec", "field"),
    by_day(PLACES, one_in=3, unpacked=True),
    ids=[f"{spec.name}.{field.name}" for spec, field in PLACES],
)


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
        admin_token=Secret(ADMIN),
    )
    await keycairn.vault.unlock(ROOT_KEY)
    return keycairn


@pytest.fixture
async def client(kc: Keycairn) -> AsyncIterator[AppClient]:
    async with AppClient(Litestar(plugins=[KeycairnPlugin(keycairn=kc)])) as client:
        client.headers["authorization"] = f"Bearer {ADMIN}"
        yield client


class Move(Struct, frozen=True):
    """An account's places before and after; what they were, and the secrets that are sent to one that changed."""

    spec: ProviderSpec
    name: str
    before: Mapping[str, SettingValue]
    after: Mapping[str, SettingValue]

    @property
    def torn(self) -> list[str]:
        touched = {
            name for name in self.before.keys() | self.after.keys() if self.before.get(name) != self.after.get(name)
        }
        return sorted(one.name for one in self.spec.secrets if touched & {p.name for p in self.spec.places(one.name)})

    @property
    def patch(self) -> dict[str, SettingValue | None]:
        return {name: self.after.get(name) for name in self.before.keys() | self.after.keys()}


def value(field: FieldSpec, number: int) -> SettingValue:
    """A value of its own for each number, where the setting says where; else any."""
    if field.kind is FieldKind.URL:
        return f"https://host-{number}.example/v1"
    return f"place-{number}" if field.names_host else f"some-{field.name}"


def moves(spec: ProviderSpec) -> Iterator[Move]:
    """Every place changed, set, unset, swapped with every other, and moved to every other."""
    places = spec.places()
    whole = {one.name: value(one, number) for number, one in enumerate(places)}
    for one in places:
        rest = {name: kept for name, kept in whole.items() if name != one.name}
        yield Move(spec, f"{one.name} changed", whole, {**whole, one.name: value(one, 99)})
        yield Move(spec, f"{one.name} unset", whole, rest)
        yield Move(spec, f"{one.name} set", rest, whole)
        yield from (
            Move(spec, f"{one.name} set to what {other.name} is", rest, {**rest, one.name: whole[other.name]})
            for other in places
            if other is not one and other.kind is one.kind
        )
    for one, other in permutations(places, 2):
        if one.kind is not other.kind:
            continue
        rest = {name: kept for name, kept in whole.items() if name != other.name}
        moved = {name: kept for name, kept in rest.items() if name != one.name} | {other.name: whole[one.name]}
        yield Move(spec, f"{one.name} moved to {other.name}", rest, moved)
        if one.name < other.name:
            swapped = {**whole, one.name: whole[other.name], other.name: whole[one.name]}
            yield Move(spec, f"{one.name} swapped with {other.name}", whole, swapped)


def complete(move: Move) -> bool:
    """Whether the provider takes both sides."""
    others = {one.name for one in move.spec.fields if one not in move.spec.places()}
    return all(
        not {*others, *side}.isdisjoint(group)
        for side in (move.before, move.after)
        for group in move.spec.required_groups
    )


MOVES = [move for spec in BUILT_IN if spec.secrets for move in moves(spec) if complete(move)]
MOVED = pytest.mark.parametrize("move", by_day(MOVES, one_in=4), ids=lambda move: f"{move.spec.name}: {move.name}")


async def moving(kc: Keycairn, move: Move) -> Credential:
    """An account as it is before the move, with every secret."""
    plain = {one.name: value(one, 0) for one in move.spec.settings if one.required and one not in move.spec.places()}
    secrets = {one.name: a_secret(one) for one in move.spec.secrets}
    listed = await kc.credentials.create(move.spec.name, name="W", settings={**plain, **move.before}, secrets=secrets)
    return (await kc.credentials.get(listed.credential.id)).credential


async def former(kc: Keycairn, spec: ProviderSpec, credential: Credential) -> Credential:
    """The stored account as an earlier version sealed it."""
    cipher = FakeCipher(suite=FORMER_SUITE)
    sealed = {
        name: cipher.seal(Secret(f"sk-{name}-0123456789"), seal_context(spec, credential, name))
        for name in credential.sealed
    }
    event = kc.journal.event(IN_PROCESS, Action.CREDENTIAL_UPDATED, credential.id)
    await kc.journal.commit((Reseal(credential.workspace, credential.id, sealed, credential.version), event))
    return (await kc.credentials.get(credential.id)).credential


@MOVED
@pytest.mark.parametrize("suite", ["present", "former"])
async def test_a_move_asks_for_the_secrets_it_would_lead_elsewhere_and_for_no_others(
    kc: Keycairn, move: Move, suite: str
) -> None:
    before = await moving(kc, move)
    if suite == "former":
        before = await former(kc, move.spec, before)
    patch = CredentialPatch(settings=move.patch)
    if move.torn:
        with pytest.raises(SecretReentryRequiredError) as refused:
            await kc.credentials.update(before.id, patch)
        assert sorted(refused.value.fields) == move.torn
        assert (await kc.credentials.get(before.id)).credential == before
    anew = {one.name: a_secret(one, "new-") for one in move.spec.secrets if one.name in move.torn}
    after = (await kc.credentials.update(before.id, replace(patch, secrets=anew))).credential
    opened = (await kc.credential_opener.open(after)).secrets
    assert {name for name, secret in opened.items() if "new-" in secret.reveal()} == set(move.torn)
    assert opened.keys() == before.sealed.keys()


@MOVED
async def test_moved_behind_our_back_those_secrets_do_not_open_and_the_others_do(kc: Keycairn, move: Move) -> None:
    before = await moving(kc, move)
    settings = {name: kept for name, kept in {**before.settings, **move.patch}.items() if kept is not None}
    assert sorted(kc.credential_opener.broken(replace(before, settings=settings))) == move.torn


async def test_a_secret_follows_no_swap_of_urls_over_http_either(kc: Keycairn, client: AppClient) -> None:
    first, second = "https://a.example/v1", "https://b.example/v1"
    fields = {"base_url": first, "endpoint_stt": second, "api_key": "sk-canary-0123456789"}
    made = await client.post("/api/credentials", json={"name": "W", "provider": "openai_compatible", **fields})
    refused = await client.put(
        f"/api/credentials/{made.json()['id']}", json={"base_url": second, "endpoint_stt": first}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "secret_reentry_required")
    assert "api_key" in refused.text


async def test_a_start_seals_anew_what_an_earlier_version_sealed_and_says_so(kc: Keycairn) -> None:
    spec = kc.registry.get("openai_compatible").spec
    move = next(one for one in MOVES if (one.spec, one.name) == (spec, "base_url swapped with endpoint_llm"))
    before = await former(kc, spec, await moving(kc, move))
    swapped = replace(before, settings={**before.settings, **move.after})
    assert all(map(is_former, before.sealed.values()))
    assert kc.credential_opener.broken(swapped) == {}, "what the former suite cannot tell"
    await kc.credential_opener.sweep()
    after = (await kc.credentials.get(before.id)).credential
    assert not any(map(is_former, after.sealed.values()))
    assert (await kc.credential_opener.open(after)).secrets == (await kc.credential_opener.open(before)).secrets
    assert sorted(kc.credential_opener.broken(replace(after, settings=swapped.settings))) == move.torn
    assert (after.version, after.updated) == (before.version, before.updated)
    events = await kc.audit.events(matching=EventFilter(action=Action.SECRETS_RESEALED))
    assert len(events) == 1
    await kc.credential_opener.sweep()
    assert (await kc.credentials.get(before.id)).credential == after


async def test_a_rotation_leaves_nothing_that_an_earlier_version_sealed(kc: Keycairn) -> None:
    spec = kc.registry.get("openai").spec
    listed = await kc.credentials.create("openai", name="W", secrets={"api_key": Secret("sk-api_key-0123456789")})
    before = await former(kc, spec, listed.credential)
    # the fake keyset has one key only, so that nothing else would renew it
    [change] = resealed([before], kc.vault.keyset, kc.registry, set())
    assert isinstance(change, Reseal)
    sealed = change.sealed
    assert not any(map(is_former, sealed.values()))
    with pytest.raises(UndecryptableError):
        kc.vault.cipher.open(
            sealed["api_key"], replace(seal_context(spec, before, "api_key"), provider="openai_compatible")
        )


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
    secrets = {one.name: a_secret(one) for one in spec.secrets}
    listed = await kc.credentials.create(spec.name, name="W", settings=settings, secrets=secrets)
    return (await kc.credentials.get(listed.credential.id)).credential


@FIELDS
@pytest.mark.parametrize("new", ["https://evil.example/v1", "http://first.example/v1", "https://first.example:444/v1"])
async def test_in_process_and_over_http_another_origin_asks_for_the_secret_and_changes_nothing(
    kc: Keycairn, client: AppClient, spec: ProviderSpec, field: FieldSpec, new: str
) -> None:
    before = await stored(kc, spec, field, "https://first.example/v1")
    with pytest.raises(SecretReentryRequiredError):
        await kc.credentials.update(before.id, CredentialPatch(settings={field.name: new}))
    flat = await client.put(f"/api/credentials/{before.id}", json={field.name: new})
    nested = await client.put(f"/api/credentials/{before.id}", json={"config": {field.name: new}})
    assert "secret_reentry_required" in {flat.json().get("code"), nested.json().get("code")}
    assert (await kc.credentials.get(before.id)).credential == before


@FIELDS
async def test_with_all_its_secrets_the_account_moves_and_its_old_seal_opens_no_more(
    kc: Keycairn, spec: ProviderSpec, field: FieldSpec
) -> None:
    before = await stored(kc, spec, field, "https://first.example/v1")
    secrets = {one.name: a_secret(one, "new-") for one in spec.secrets}
    patch = CredentialPatch(settings={field.name: "https://second.example/v1"}, secrets=secrets)
    after = (await kc.credentials.update(before.id, patch)).credential
    opened = await kc.credential_opener.open(after)
    assert {name: secret.reveal() for name, secret in opened.secrets.items()} == {
        name: secret.reveal() for name, secret in secrets.items()
    }
    assert not set(after.sealed.values()) & set(before.sealed.values())


@FIELDS
async def test_another_path_of_the_same_origin_needs_nothing(
    kc: Keycairn, spec: ProviderSpec, field: FieldSpec
) -> None:
    before = await stored(kc, spec, field, "https://first.example/v1")
    after = await kc.credentials.update(
        before.id, CredentialPatch(settings={field.name: "https://FIRST.example:443/v2"})
    )
    assert (await kc.credential_opener.open(after.credential)).secrets


STEERING = {
    "helicone-target-url": "https://api.example/v1",
    "helicone-openai-api-base": "api.example",
    "x-portkey-custom-host": "x",
    "x-portkey-config": "pc-1",
    "x-portkey-provider": "openai",
    "x-target-url": "x",
    "x-upstream": "x",
    "x-backend-server": "x",
    "x-base-url": "x",
    "x-api-base": "x",
    "x-route-to": "x",
    "destination": "x",
    "x-proxy": "x",
    "x_endpoint": "x",
    "x-anything": "https://evil.example",
    "x-something": '{"a": "evil.example"}',
    "x-else": "10.0.0.1:8080",
}
PLAIN = {
    "anthropic-beta": "prompt-caching-2024-07-31",
    "x-title": "My app",
    "openai-organization": "org-1",
    "x-tag": "a",
}


@pytest.mark.parametrize("name", STEERING)
async def test_a_header_that_tells_a_proxy_where_to_send_a_call_needs_the_secret_again(kc: Keycairn, name: str) -> None:
    key: dict[str, Secret | None] = {"api_key": Secret("sk-0123456789abcdef")}
    at, options = {"base_url": "https://proxy.example/v1"}, Options(headers={name: STEERING[name]})
    made = await kc.credentials.create(
        "openai", name="x", settings=at, secrets={"api_key": Secret("sk-0123456789abcdef")}
    )
    id = made.credential.id
    with pytest.raises(SecretReentryRequiredError):
        await kc.credentials.update(id, CredentialPatch(options=options))
    await kc.credentials.update(id, CredentialPatch(options=options, secrets=key))
    both = Options(headers={name: STEERING[name], **PLAIN})
    await kc.credentials.update(id, CredentialPatch(options=both))
    for changed in (Options(headers={name: "evil.example"}), Options()):
        with pytest.raises(SecretReentryRequiredError):
            await kc.credentials.update(id, CredentialPatch(options=changed))
