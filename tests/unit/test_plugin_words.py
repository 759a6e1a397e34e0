"""What providers and plugins say, before it is kept, shown or logged."""

import pytest
from msgspec.structs import replace
from tests.house import LANGUAGE, House
from tests.spelled import SPELLINGS, recoverable

from keycairn.app.keycairn import Keycairn
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.errors import InvalidAuthError, InvalidInputError, PluginFailedError, ProviderError
from keycairn.domain.model import LONGEST_MODEL_NAME
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Outcome
from keycairn.domain.secret import Secret

KEY = "sk-canary-4f9A7c2E81/b6D05x"
EVERY = pytest.mark.parametrize("said", [spell(KEY) for spell in SPELLINGS.values()], ids=list(SPELLINGS))


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


@pytest.fixture
async def credential(kc: Keycairn) -> Credential:
    return (await kc.credentials.create("openai", name="Work", secrets={"api_key": Secret(KEY)})).credential


def model(name: str, description: str = "") -> DiscoveredModel:
    return DiscoveredModel(name=name, type=LANGUAGE, description=description)


@EVERY
async def test_a_model_named_like_the_key_is_left_out_and_counted(
    house: House, kc: Keycairn, credential: Credential, said: str
) -> None:
    house.openai.models = (model("good", f"the model of {said}"), model(said), model(f"ft:{said}:me"))

    found, drift = await kc.probing.drift(credential.id)
    synced = await kc.probing.sync("openai")

    assert ([one.name for one in found.models], found.withheld, len(drift.new)) == (["good"], 2, 1)
    assert not recoverable(KEY, found.models[0].description)
    assert (synced.new, synced.withheld) == (1, 2)
    assert [one.name for one in await kc.store.models(DEFAULT_WORKSPACE)] == ["good"]


@EVERY
async def test_no_report_or_error_repeats_the_key(
    house: House, kc: Keycairn, credential: Credential, said: str
) -> None:
    house.openai.report = ConnectionReport(outcome=Outcome.OK, message=f"Hello {said}!", models=(said, "m"))
    report = await kc.probing.test(credential.id)
    kept = (await kc.credentials.get(credential.id)).credential.last_check

    assert report.models == ("m",)
    assert kept is not None
    assert not any(recoverable(KEY, text) for text in (report.message, kept.message))

    for error in (InvalidAuthError(f"no: {said}"), InvalidInputError(said, {said: said}), ProviderError(said)):
        error.add_note(said)
        house.openai.error = error
        with pytest.raises(type(error)) as caught:
            await kc.probing.discover(credential.id)
        told = repr(caught.value) + repr(caught.value.__dict__) + repr(caught.value.__cause__)
        assert not recoverable(KEY, told)


@pytest.mark.parametrize("field", ["type", "provenance"])
async def test_a_model_whose_kind_is_none_is_left_out_and_counted(
    house: House, kc: Keycairn, credential: Credential, field: str
) -> None:
    house.openai.models = (model("good"), replace(model("odd"), **{field: KEY}))
    found, _ = await kc.probing.drift(credential.id)
    assert ([one.name for one in found.models], found.withheld) == (["good"], 1)


@pytest.mark.parametrize(
    "report",
    [
        ConnectionReport(outcome=KEY, message=""),  # type: ignore[arg-type]  # what a plugin may do
        ConnectionReport(outcome=Outcome.OK, message="", models=None),  # type: ignore[arg-type]
        ConnectionReport(outcome=[KEY], message=""),  # type: ignore[arg-type]
    ],
    ids=["no outcome", "no models", "a list"],
)
async def test_a_report_that_is_none_is_the_plugins_failure_and_is_not_quoted(
    house: House, kc: Keycairn, credential: Credential, report: ConnectionReport
) -> None:
    house.openai.report = report
    told = await kc.probing.test(credential.id)
    assert "plugin failed" in told.message
    assert not told.success
    assert KEY not in repr(told)
    assert told.models == ()


async def test_what_a_plugin_names_its_exceptions_is_no_way_out(
    house: House, kc: Keycairn, credential: Credential
) -> None:
    house.openai.error = type(KEY, (Exception,), {})(KEY)
    with pytest.raises(PluginFailedError, match=r"failed \(Exception\)"):
        await kc.probing.discover(credential.id)


async def test_a_plugin_cannot_end_the_service(house: House, kc: Keycairn, credential: Credential) -> None:
    house.openai.error = SystemExit(3)  # type: ignore[assignment]  # what a plugin may raise
    assert (await kc.probing.test(credential.id)).outcome is Outcome.UNKNOWN


async def test_what_is_no_model_or_no_name_is_left_out(house: House, kc: Keycairn, credential: Credential) -> None:
    odd = (5, None, model(7), model("x" * (LONGEST_MODEL_NAME + 1)))  # type: ignore[arg-type]  # a careless plugin's
    house.openai.models = (*odd, model("good"))  # type: ignore[assignment]

    found = await kc.probing.discover(credential.id)

    assert ([one.name for one in found.models], found.withheld) == (["good"], 4)


async def test_a_short_key_that_is_a_word_hides_no_model(house: House, kc: Keycairn) -> None:
    server = {"base_url": "http://localhost:1234/v1"}
    made = await kc.credentials.create("openai", name="Home", settings=server, secrets={"api_key": Secret("ollama")})
    local = made.credential
    house.openai.models = (model("ollama/llama3"), model("none"))

    assert [one.name for one in (await kc.probing.discover(local.id)).models] == ["ollama/llama3", "none"]
