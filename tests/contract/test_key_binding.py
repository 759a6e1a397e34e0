"""Every built-in provider that manages keys: no URL of it is changed without the secrets that go there."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from tests.contract.key_cases import CASES
from tests.contract.test_key_rotations import Place
from tests.fakes import FakeClock, FakeEnvironment, FakeIds
from tests.house import ROOT_KEY, FakeKeysets, NoHttp

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import KeycairnError, SecretReentryRequiredError
from keycairn.domain.field import FieldKind
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyRef
from keycairn.domain.key_rotation.record import Policy
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.plugins.loaded import loaded
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.http import Request
from keycairn.testing.recording_http import RecordingHttp

EVIL = "https://evil.example/v1"
URLS = [
    (name, field.name)
    for name, case in CASES.items()
    for field in case.management.fields
    if field.kind is FieldKind.URL
]


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
    )
    await keycairn.vault.unlock(ROOT_KEY)
    return keycairn


async def account(kc: Keycairn, name: str) -> CredentialId:
    """The case's account, with all that manages its keys, at one host."""
    case = CASES[name]
    spec, given = case.provider.spec, case.settings("https://own.example")
    made = await kc.credentials.create(
        spec.name,
        name="main",
        settings={one: value for one, value in given.items() if spec.field(one)},
        secrets={one: Secret(text) for one, text in case.secrets.items()},
    )
    await kc.key_rotations.set_up(
        made.credential.id,
        policy=Policy(),
        settings={one: value for one, value in given.items() if spec.field(one) is None},
        secrets=secrets(case.admins),
    )
    return made.credential.id


def secrets(texts: Mapping[str, str]) -> dict[str, Secret | None]:
    return {name: Secret(text) for name, text in texts.items()}


@pytest.mark.parametrize(("name", "url"), URLS, ids=[f"{name}.{url}" for name, url in URLS])
async def test_a_url_that_manages_keys_needs_every_secret_again(kc: Keycairn, name: str, url: str) -> None:
    """Those that manage keys, whose tokens and new keys go there, and the account's key, which is compared there."""
    case, id = CASES[name], await account(kc, name)
    before = await kc.key_rotations.get(id, workspace="default")
    own, admins = secrets(case.secrets), secrets(case.admins)
    for given, asked in ((own, case.admins), (admins, case.secrets)):
        if asked:
            with pytest.raises(SecretReentryRequiredError) as refused:
                await kc.key_rotations.set_up(id, policy=Policy(), settings={url: EVIL}, secrets=given)
            assert refused.value.fields.keys() == asked.keys()
    assert await kc.key_rotations.get(id, workspace="default") == before
    done = await kc.key_rotations.set_up(id, policy=Policy(), settings={url: EVIL}, secrets={**own, **admins})
    assert not own.keys() & done.rotation.sealed.keys()


@pytest.mark.parametrize("name", CASES)
async def test_an_account_that_is_moved_rests_until_what_makes_its_keys_is_given_again(kc: Keycairn, name: str) -> None:
    case, id = CASES[name], await account(kc, name)
    places = [one.name for one in case.provider.spec.places()]
    value = {one.name: EVIL if one.kind is FieldKind.URL else "elsewhere-1" for one in case.provider.spec.places()}
    for place in places:
        patch = CredentialPatch(settings={place: value[place]}, secrets=secrets(case.secrets))
        await kc.credentials.update(id, patch)
        if case.admins:
            with pytest.raises(SecretReentryRequiredError):
                await kc.key_rotations.set_up(id, policy=Policy(every_days=9))
        if case.management.makes:
            with pytest.raises(SecretReentryRequiredError):
                await kc.key_rotations.rotate(id)
        given = secrets({**case.secrets, **case.admins})
        await kc.key_rotations.set_up(id, policy=Policy(), secrets=given)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("origins", [None, frozenset[str](), frozenset({"https://own.example:443"})])
async def test_a_key_that_is_handed_over_goes_where_it_is_for_and_nowhere_else(
    name: str, origins: frozenset[str] | None
) -> None:
    case, http = CASES[name], RecordingHttp(NoHttp())
    at_own, away = case.manager("https://own.example"), case.settings("https://evil.example")
    manager = case.manager("https://own.example")
    for url in (one for of, one in URLS if of == name):
        manager = replace(manager, settings={**manager.settings, url: str(away[url])})
    provider = loaded(case.provider)
    former = {one: Secret(f"former-{one}-0123456789-canary") for one in case.secrets}
    for ref in (KeyRef(id="key_1", secrets=former, origins=origins), KeyRef(id="", secrets=former, origins=origins)):
        for account_ in (manager, at_own):
            try:
                await provider.revoke_key(account_, ref, http)
            except (KeycairnError, AssertionError):
                continue
    known = Redactor(list(former.values()))
    assert not [one.url for one in http.sent if holds(one, known) and "evil.example" in one.url]


def holds(request: Request, known: Redactor) -> bool:
    headers = [one.reveal() if isinstance(one, Secret) else one for one in request.headers.values()]
    return any(map(known.holds, [request.url, *headers])) or known.within(request.body or b"")


@pytest.mark.parametrize("moves", [False, True], ids=["URL", "URL and account"])
@pytest.mark.parametrize("leaked", [False, True])
async def test_a_former_token_is_revoked_where_it_was_for_and_nowhere_else(*, moves: bool, leaked: bool) -> None:
    """Whoever stores a key of their own meanwhile, and has that one managed elsewhere, does not get the former one."""
    case = CASES["huggingface"]
    async with case.server() as server, case.server() as evil:
        http = GuardedHttp(EgressPolicy())
        try:
            place = Place(case, server, http)
            await place.set_up()
            rotations, own = place.keycairn.key_rotations, Secret("hf_of_somebody_else_0123456789")
            if leaked:
                server.fault = 503
                await rotations.leaked(place.id)
            else:
                await rotations.set_up(place.id, policy=Policy(overlap_hours=0))
                await rotations.rotate(place.id)
            await rotations.work()
            settings = {"base_url": evil.url} if moves else {}
            patch = CredentialPatch(settings=settings, secrets={"api_key": own})
            await place.keycairn.credentials.update(place.id, patch)
            away, key = {"management_url": evil.origin}, {"api_key": own}
            await rotations.set_up(place.id, policy=Policy(overlap_hours=0), settings=away, secrets=key)
            for _ in range(30):
                place.clock.tick(60)
                await rotations.work()
        finally:
            await http.aclose()
    (former,) = case.secrets.values()
    assert former not in repr([(one.target, one.headers, one.body) for one in evil.requests])
