from datetime import timedelta

import pytest
from tests.house import EMBEDDING, LANGUAGE, House
from tests.samples import THEN, a_check, a_credential

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.models import NewModel
from keycairn.app.services.models.probing import ENVIRONMENT
from keycairn.domain.audit import Caller
from keycairn.domain.credential import Credential, is_current
from keycairn.domain.errors import (
    CannotConnectError,
    CredentialNotFoundError,
    EgressRefusedError,
    InvalidAuthError,
    InvalidInputError,
    MissingFieldError,
    ModelGoneError,
    ModelNotFoundError,
    NoPermissionError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
    UrlRefusedError,
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
        (QuotaExhaustedError(), Outcome.QUOTA, False),
        (ModelGoneError(), Outcome.OK, True),
        (ProviderError(), Outcome.UNKNOWN, False),
        (RuntimeError(f"boom {KEY}"), Outcome.UNKNOWN, False),
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

    assert (report.success, report.outcome) == (False, Outcome.NOT_FOUND)


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


async def test_discovering_a_provider_that_is_in_the_environment_only_uses_the_environments_key(
    house: House, kc: Keycairn
) -> None:
    house.environment.values["OPENAI_API_KEY"] = KEY
    house.openai.models = offer("a")

    found = await kc.probing.discover_provider("openai")

    assert [model.name for model in found.models] == ["a"]
    assert house.openai.keys == [KEY]
    with pytest.raises(CredentialNotFoundError):
        await kc.probing.discover_provider("openai", by=Caller(actor="someone", workspace="other"))


@pytest.mark.parametrize("key", ["user_provided", "<your key>", "sk-a,sk-b"])
async def test_an_account_in_the_environment_that_cannot_be_used_says_why(house: House, kc: Keycairn, key: str) -> None:
    house.environment.values["OPENAI_API_KEY"] = key

    with pytest.raises(InvalidInputError, match="environment"):
        await kc.probing.discover_provider("openai")
    synced = await kc.probing.sync("openai")

    assert "cannot be used" in synced.failures[ENVIRONMENT]
    assert house.openai.keys == []


async def test_what_the_database_holds_is_asked_before_the_environment(
    house: House, kc: Keycairn, credential: Credential
) -> None:
    house.environment.values["OPENAI_API_KEY"] = "sk-of-the-environment"
    await kc.probing.discover_provider("openai")
    assert house.openai.keys == [KEY]


async def test_a_sync_of_an_account_in_the_environment_says_what_to_do(house: House, kc: Keycairn) -> None:
    house.environment.values["OPENAI_API_KEY"] = KEY
    house.openai.models = offer("a", "b")

    synced = await kc.probing.sync("openai")

    assert (synced.discovered, synced.new) == (2, 0)
    assert "Migrate it" in synced.failures[ENVIRONMENT]
    assert await kc.models.list() == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (MissingFieldError("openai", [["base_url"]]), Outcome.UNKNOWN),
        (EgressRefusedError("it is a private address"), Outcome.CANNOT_CONNECT),
        (UrlRefusedError("it is none"), Outcome.UNKNOWN),
        (InvalidAuthError(), Outcome.INVALID_AUTH),
        (NoPermissionError(), Outcome.NO_PERMISSION),
        (RuntimeError("boom"), Outcome.UNKNOWN),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_sync_gives_each_account_its_own_result_and_goes_on(
    house: House, kc: Keycairn, credential: Credential, error: Exception, outcome: Outcome
) -> None:
    good = (
        await kc.credentials.create("openai", name="Home", secrets={"api_key": Secret("sk-good-0123456789")})
    ).credential
    house.openai.models = offer("a")
    house.openai.error_for = {KEY: error}

    synced = await kc.probing.sync("openai")

    results = {one.account: (one.outcome, one.new) for one in synced.accounts}
    assert results == {credential.id: (outcome, 0), good.id: (Outcome.OK, 1)}
    assert list(synced.failures) == [credential.id]
    assert KEY not in repr(synced)


async def test_discovering_goes_on_past_an_account_that_may_not_be_asked(
    house: House, kc: Keycairn, credential: Credential
) -> None:
    await kc.credentials.create("openai", name="Home", secrets={"api_key": Secret("sk-good-0123456789")})
    house.openai.models = offer("a")
    house.openai.error_for = {KEY: EgressRefusedError("it is a private address")}

    assert len((await kc.probing.discover_provider("openai")).models) == 1


class TestCheckOfAFormerKey:
    """A check belongs to the secret and the settings it was made with."""

    async def last(self, kc: Keycairn, id: CredentialId) -> tuple[int, bool]:
        credential = (await kc.credentials.get(id)).credential
        assert credential.last_check is not None
        return credential.last_check.version, is_current(credential.last_check, credential)

    async def test_is_shown_as_such(self, kc: Keycairn, credential: Credential) -> None:
        await kc.probing.test(credential.id)
        assert await self.last(kc, credential.id) == (1, True)

        await kc.credentials.update(credential.id, CredentialPatch(secrets={"api_key": Secret("sk-another-0123456")}))
        assert await self.last(kc, credential.id) == (1, False)

        await kc.probing.test(credential.id)
        assert await self.last(kc, credential.id) == (2, True)

    async def test_is_none_after_a_change_of_name(self, kc: Keycairn, credential: Credential) -> None:
        await kc.probing.test(credential.id)
        await kc.credentials.update(credential.id, CredentialPatch(name="Renamed"))
        assert await self.last(kc, credential.id) == (1, True)

    async def test_is_one_after_a_change_of_settings(self, kc: Keycairn, credential: Credential) -> None:
        await kc.probing.test(credential.id)
        await kc.credentials.update(credential.id, CredentialPatch(settings={"num_ctx": 7}))
        assert await self.last(kc, credential.id) == (1, False)

    async def test_that_was_under_way_while_the_key_changed_belongs_to_the_former_one(
        self, house: House, kc: Keycairn, credential: Credential
    ) -> None:
        async def rotate() -> None:
            await kc.credentials.update(
                credential.id, CredentialPatch(secrets={"api_key": Secret("sk-new-0123456789")})
            )

        house.openai.meanwhile = rotate
        await kc.probing.test(credential.id)
        assert await self.last(kc, credential.id) == (1, False)

    def test_of_before_counts_while_nothing_was_edited_since(self) -> None:
        check = a_check(at=THEN)
        assert is_current(check, a_credential(updated=THEN))
        assert not is_current(check, a_credential(updated=THEN + timedelta(seconds=1)))
