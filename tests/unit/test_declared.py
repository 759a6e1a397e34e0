"""A provider that is declared wrongly is refused when it is loaded, in a sentence that says where and what."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from keycairn.domain.errors import PluginError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Outcome
from keycairn.domain.provider import Account, FieldKind, FieldSpec, ProviderSpec
from keycairn.plugins.declared import OPTIONAL, REQUIRED, vetted
from keycairn.plugins.loaded import loaded
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.ports.http import Http

SPEC = keyed_spec("acme", "Acme", Modality.LANGUAGE, docs_url="https://acme.example/keys")
URL = "https://api.acme.example/v1"
GOOD = ConnectionReport(outcome=Outcome.OK, message="The key works.")


class Acme(OpenAICompatible):
    """One of a stranger's."""


def fault(provider: object) -> str:
    with pytest.raises(PluginError) as caught:
        vetted(provider)
    return str(caught.value)


def with_field(**changes: Any) -> ProviderSpec:
    field = FieldSpec(**{"name": "region", "label": "Region", **changes})
    return replace(SPEC, fields=(*SPEC.fields, field))


def with_spec(**changes: Any) -> ProviderSpec:
    return replace(SPEC, **changes)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (with_field(env="REGION"), "env of the field 'region': expected `array`, got `str`"),
        (with_field(env=(7,)), "env[0] of the field 'region': expected `str`, got `int`"),
        (with_field(kind="boolean"), "kind of the field 'region': invalid enum value 'boolean'"),
        (with_field(kind="sk-live-1 2"), "kind of the field 'region': invalid value"),
        (with_field(label=None), "label of the field 'region': expected `str`, got `null`"),
        (with_field(secret="yes"), "secret of the field 'region': expected `bool`, got `str`"),
        (with_field(default=1.5), "default of the field 'region'"),
        (with_field(default=True), "default of the field 'region'"),
        (with_field(default=7), "the default of the field 'region' is none of its kind, text"),
        (
            with_field(kind=FieldKind.INTEGER, default="7"),
            "the default of the field 'region' is none of its kind, integer",
        ),
        (with_field(kind=FieldKind.INTEGER, default=2**70), "is none of its kind, integer"),
        (with_field(kind=FieldKind.URL, default="acme"), "is none of its kind, url"),
        (with_field(names_host=True, default="eu.evil.example/"), "is none of its kind, text"),
        (with_spec(modalities="language"), "modalities: expected `array`, got `str`"),
        (with_spec(modalities=("chat",)), "modalities[0]: invalid enum value 'chat'"),
        (with_spec(modalities=None), "modalities: expected `array`, got `null`"),
        (with_spec(label=None), "label: expected `str`, got `null`"),
        (with_spec(label="\ud800"), "a text of its spec is no Unicode"),
        (with_spec(label="x" * 2**21), "its spec is larger than 1 MiB"),
        (with_spec(any_of=("api_key",)), "any_of[0]: expected `array`, got `str`"),
        (with_spec(fields=7), "fields: expected `array`, got `int`"),
        (with_spec(fields=(object(),)), "its spec holds an object that is no data"),
        (with_spec(fields={"api_key": 1}), "fields: expected `array`, got `object`"),
        (with_spec(native_operations="GET models"), "native_operations: expected `array`, got `str`"),
        (with_spec(api_version="1"), "api_version: expected `int`, got `str`"),
        (with_spec(preferred_models=(None,)), "preferred_models[0]: expected `str`, got `null`"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_spec_with_a_value_of_another_kind_is_refused(spec: ProviderSpec, told: str) -> None:
    provider = Acme(SPEC, url=URL)
    provider.spec = spec
    said = fault(provider)
    assert told in said
    assert "The provider 'acme' (Acme in test_declared.py) is declared wrongly" in said
    assert len(said) < 400


def test_lists_and_plain_words_are_read_as_what_they_stand_for_and_later_changes_change_nothing() -> None:
    provider = Acme(SPEC, url=URL)
    fields = [*SPEC.fields]
    provider.spec = replace(SPEC, fields=fields, modalities=["language"], label="Acme!")
    guarded = loaded(provider)
    fields.clear()
    provider.spec = replace(SPEC, name="other")
    assert guarded.spec == replace(SPEC, label="Acme!")
    assert type(guarded.spec.modalities[0]) is Modality


def changed(**methods: Any) -> OpenAICompatible:
    return type("Acme", (Acme,), {"__module__": __name__, **methods})(SPEC, url=URL)  # type: ignore[no-any-return]


def plain(*parameters: str) -> Callable[..., object]:
    names = ", ".join(("self", *parameters))
    return eval(f"lambda {names}: None")  # type: ignore[no-any-return]  # noqa: S307  # a signature from data


def asynchronous(*parameters: str) -> Callable[..., object]:
    space: dict[str, Any] = {}
    exec(f"async def method({', '.join(('self', *parameters))}): ...", space)  # noqa: S102  # a signature from data
    return space["method"]  # type: ignore[no-any-return]


EVERY = {**REQUIRED, **OPTIONAL}


@pytest.mark.parametrize("name", EVERY)
def test_a_method_that_is_async_where_it_is_not_awaited_or_the_other_way_round_is_refused(name: str) -> None:
    method = EVERY[name]
    make, told = (plain, "is not async") if method.awaited else (asynchronous, "is async")
    said = fault(changed(**{name: make(*method.parameters)}))
    assert f"{told}: it has to be `{method.written(name)}`" in said
    assert f"{name} (" in said  # and the place


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("wrong", ["fewer", "more", "swapped", "yields", "no method"])
def test_a_method_that_cannot_be_called_as_it_is_called_is_refused(name: str, wrong: str) -> None:
    method = EVERY[name]
    make = asynchronous if method.awaited else plain
    several = method.parameters if len(method.parameters) > 1 else ("other", *method.parameters)

    def yielding(self: object, *given: object) -> Any:
        yield given

    methods: Mapping[str, object] = {
        "fewer": make(*method.parameters[1:]),
        "more": make(*method.parameters, "more"),
        "swapped": make(*reversed(several)),
        "yields": yielding,
        "no method": URL,
    }
    said = fault(changed(**{name: methods[wrong]}))
    assert name in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("openai_base_ur", "openai_base_url"),
        ("open_ai_base_url", "openai_base_url"),
        ("openai_model_names", "openai_model_name"),
        ("antropic_base_url", "anthropic_base_url"),
    ],
)
def test_a_capability_that_is_misspelt_is_refused(name: str, meant: str) -> None:
    assert f"{name} is nothing that Keycairn calls: {meant} is meant" in fault(
        changed(**{name: plain("account", "type")})
    )


def test_a_method_that_is_misspelt_is_named_beside_the_one_that_lacks() -> None:
    class Bare:
        spec = SPEC
        client_name = "acme"

        async def dicover(self, account: Account, http: Http) -> None: ...

    said = fault(Bare())
    assert "(Bare in test_declared.py) lacks: discover (dicover is none), check, try_model" in said


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_a_client_name_that_is_none_is_refused(name: object) -> None:
    assert "lacks: client_name" in fault(changed(client_name=name))


def logged(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*given: object) -> Any:
        return method(*given)

    return call


class Called:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def __call__(self, account: Account, http: Http) -> object:
        return self.answer


async def unbound(provider: object, account: Account, http: Http) -> ConnectionReport:
    return GOOD


def handing_on(self: object, account: Account, http: Http) -> Awaitable[ConnectionReport]:
    return unbound(self, account, http)


async def with_more(self: object, account: Account, http: Http, *, proof: str = "") -> ConnectionReport:
    return GOOD


async def with_any(self: object, *given: object) -> ConnectionReport:
    return GOOD


@pytest.mark.parametrize(
    "check",
    [
        logged(unbound),
        handing_on,
        with_more,
        with_any,
        Called(GOOD),
        functools.partial(unbound, None),
        staticmethod(functools.partial(unbound, None)),
    ],
    ids=["wrapped", "annotated", "more", "any", "called", "partial", "static"],
)
async def test_a_check_in_another_form_that_works_is_taken(check: object) -> None:
    provider = loaded(changed(check=check))
    account = Account(provider="acme", settings={}, secrets={})
    assert await provider.check(account, None) == GOOD  # type: ignore[arg-type]  # it sends nothing
