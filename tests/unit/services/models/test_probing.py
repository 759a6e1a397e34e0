import pytest
from tests.house import EMBEDDING, LANGUAGE, House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.models.probing import NewModel
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CannotConnectError,
    CredentialNotFoundError,
    InvalidAuthError,
    InvalidInputError,
    ModelGoneError,
    ModelNotFoundError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.outcome import DiscoveredModel, Outcome, Provenance
from keycairn.domain.secret import Secret

KEY = "sk-canary-0123456789"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


@pytest.fixture
async def credential(kc: Keycairn) -> Credential:
    return (await kc.credentials.create("openai", name="Work", secrets={"api_key": Secret(KEY)})).credential


def offer(*names: str, provenance: Provenance = Provenance.LIVE) -> tuple[DiscoveredModel, ...]:
    return tuple(DiscoveredModel(name=name, type=LANGUAGE, provenance=provenance) for name in names)


@pytest.mark.parametrize(
    ("error", "outcome", "success"),
    [
        (None, Outcome.OK, True),
        (InvalidAuthError(), Outcome.INVALID_AUTH, False),
        (CannotConnectError(), Outcome.CANNOT_CONNECT, False),
        (RateLimitedError(), Outcome.RATE_LIMITED, True),
        (QuotaExhaustedError(), Outcome.QUOTA_EXHAUSTED, False),
        (ModelGoneError(), Outcome.OK, True),
        (ProviderError(), Outcome.PROVIDER_ERROR, False),
        (RuntimeError(f"boom {KEY}"), Outcome.PROVIDER_ERROR, False),
    ],
)
async def test_a_check_says_what_it_proved_and_the_record_remembers_it(
    house: House, kc: Keycairn, credential: Credential, error: Exception | None, outcome: Outcome, *, success: bool
) -> None:
    house.openai.error = error

    report = await kc.probing.test(credential.id)

    assert (report.outcome, report.success) == (outcome, success)
    assert KEY not in repr(report)
    after = (await kc.credentials.get(credential.id)).credential
    assert after.last_check is not None
    assert (after.last_check.outcome, after.version) == (outcome, 1)
    assert (await kc.audit.events())[-1].outcome == outcome


async def test_nobody_cannot_be_tested(kc: Keycairn) -> None:
    with pytest.raises(CredentialNotFoundError):
        await kc.probing.test(CredentialId("credential:NOBODY"))


async def test_a_failed_discovery_is_an_error_and_no_empty_list(
    house: House, kc: Keycairn, credential: Credential
) -> None:
    house.openai.error = InvalidAuthError()
    with pytest.raises(InvalidAuthError):
        await kc.probing.discover(credential.id)


async def test_registering_twice_changes_nothing(kc: Keycairn, credential: Credential) -> None:
    models = [NewModel("a", LANGUAGE), NewModel("a", EMBEDDING), NewModel(" a ", LANGUAGE)]

    assert [m.type for m in (await kc.probing.register(credential.id, models)).created] == [LANGUAGE, EMBEDDING]
    again = await kc.probing.register(credential.id, models)
    assert (again.created, again.existing) == ((), 2)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 301, "a\x00"])
async def test_a_malformed_model_name_registers_none_of_the_list(
    kc: Keycairn, credential: Credential, name: str
) -> None:
    with pytest.raises(InvalidInputError):
        await kc.probing.register(credential.id, [NewModel("good", LANGUAGE), NewModel(name, LANGUAGE)])
    assert await kc.models.list() == []


async def test_two_accounts_of_a_provider_both_register_the_same_model(kc: Keycairn, credential: Credential) -> None:
    other = (await kc.credentials.create("openai", name="Home", secrets={"api_key": Secret(KEY)})).credential
    for id in (credential.id, other.id):
        assert len((await kc.probing.register(id, [NewModel("gpt", LANGUAGE)])).created) == 1


class TestSync:
    async def test_registers_the_new_and_marks_the_vanished_and_deletes_none(
        self, house: House, kc: Keycairn, credential: Credential
    ) -> None:
        house.openai.models = (*offer("a", "b"), DiscoveredModel(name="picture", type=None))
        first = await kc.probing.sync("openai")
        assert (first.discovered, first.new, first.existing) == (3, 2, 0)

        house.openai.models = offer("b", "c")
        second = await kc.probing.sync("OPENAI")
        assert (second.new, second.existing, second.missing) == (1, 1, 1)
        models = {model.name: model for model in await kc.models.list()}
        assert models.keys() == {"a", "b", "c"}
        assert models["a"].missing_since is not None
        assert models["a"].credential == credential.id

        house.openai.models = offer("a", "b", "c")
        await kc.probing.sync("openai")
        assert all(model.missing_since is None for model in await kc.models.list())

    async def test_concludes_nothing_from_a_fallback(self, house: House, kc: Keycairn, credential: Credential) -> None:
        house.openai.models = offer("a")
        await kc.probing.sync("openai")
        house.openai.models = offer("z", provenance=Provenance.FALLBACK)
        house.openai.failure = "The provider cannot be reached."

        synced = await kc.probing.sync("openai")

        assert synced.failures == {credential.id: "The provider cannot be reached."}
        assert [(m.name, m.missing_since) for m in await kc.models.list()] == [("a", None)]

    async def test_reports_a_failing_credential_and_goes_on(self, house: House, kc: Keycairn) -> None:
        await kc.credentials.create("openai", name="Home", secrets={"api_key": Secret(KEY)})
        house.openai.error = InvalidAuthError()

        synced = await kc.probing.sync("openai")

        assert list(synced.failures.values()) == ["The provider refused the key."]

    async def test_tells_drift_before_anything_is_changed(
        self, house: House, kc: Keycairn, credential: Credential
    ) -> None:
        await kc.probing.register(credential.id, [NewModel("gone", LANGUAGE), NewModel("odd", LANGUAGE)])
        house.openai.models = (*offer("new"), DiscoveredModel(name="odd", type=EMBEDDING))

        _, drift = await kc.probing.drift(credential.id)

        assert [m.name for m in drift.new] == ["new"]
        assert [m.name for m in drift.vanished] == ["gone"]
        assert [m.name for m in drift.retyped] == ["odd"]
        assert all(model.missing_since is None for model in await kc.models.list())


async def test_trying_a_model_uses_the_key_of_its_credential(
    house: House, kc: Keycairn, credential: Credential
) -> None:
    model = (await kc.probing.register(credential.id, [NewModel("gpt", LANGUAGE)])).created[0]

    report = await kc.probing.try_model(model.id)

    assert (report.success, report.details) == (True, "language")
    assert house.openai.keys == [KEY]


async def test_a_model_that_is_gone_does_not_answer(house: House, kc: Keycairn, credential: Credential) -> None:
    model = (await kc.probing.register(credential.id, [NewModel("gpt", LANGUAGE)])).created[0]
    house.openai.error = ModelGoneError()

    report = await kc.probing.try_model(model.id)

    assert (report.success, report.outcome) == (False, Outcome.PROVIDER_ERROR)


async def test_trying_an_unlinked_or_unknown_model_says_so(kc: Keycairn) -> None:
    loose = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    assert "no credential" in (await kc.probing.try_model(loose.id)).message
    with pytest.raises(ModelNotFoundError):
        await kc.probing.try_model(ModelId("model:NOBODY"))


async def test_discovering_a_provider_joins_its_accounts_and_survives_one_failing(
    house: House, kc: Keycairn, credential: Credential
) -> None:
    house.openai.models = offer("a")
    await kc.credentials.create("openai", name="Home", secrets={"api_key": Secret("other")})

    assert [model.name for model in (await kc.probing.discover_provider("openai")).models] == ["a"]
    with pytest.raises(CredentialNotFoundError):
        await kc.probing.discover_provider("anthropic")
