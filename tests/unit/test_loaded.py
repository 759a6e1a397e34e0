"""Whatever a plugin's method does, it gives what it declares, or fails by one error that tells no secret."""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.house import FakeProvider, NoHttp, plain_spec
from tests.spelled import recoverable

from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.domain.errors import (
    AuthenticationError,
    InvalidAuthError,
    InvalidInputError,
    KeycairnError,
    PluginFailedError,
    ProviderError,
    RateLimitedError,
    StoreError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.model import LONGEST_MODEL_NAME
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, ModelReport, Outcome
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.answers import MOST_MODELS
from keycairn.plugins.loaded import GuardedProvider, loaded
from keycairn.ports.http import Http, Request
from keycairn.ports.tokens import BoughtToken

KEY = "sk-canary-4f9A7c2E81/b6D05x"
ACCOUNT = Account(provider="openai", settings={"base_url": "https://a.example"}, secrets={"api_key": Secret(KEY)})
REQUEST = Request(method="POST", url="https://a.example/chat", body=b"{}")
LANGUAGE = Modality.LANGUAGE

Ask = Callable[[GuardedProvider, Http], Any]
AWAITED: dict[str, Ask] = {
    "discover": lambda one, http: one.discover(ACCOUNT, http),
    "check": lambda one, http: one.check(ACCOUNT, http),
    "try_model": lambda one, http: one.try_model(ACCOUNT, "m", LANGUAGE, http),
    "authorize": lambda one, http: one.authorize(ACCOUNT, REQUEST, http),
}
PLAIN: dict[str, Ask] = {
    "base_url": lambda one, _: one.base_url(ACCOUNT, LANGUAGE),
    "openai_base_url": lambda one, _: one.openai_base_url(ACCOUNT, LANGUAGE),
    "anthropic_base_url": lambda one, _: one.anthropic_base_url(ACCOUNT),
    "openai_model_name": lambda one, _: one.openai_model_name("m"),
    "client_config": lambda one, _: one.client_config(ACCOUNT, LANGUAGE),
}
EVERY = {**AWAITED, **PLAIN}
OF_AN_ACCOUNT = [name for name in EVERY if name != "openai_model_name"]


async def ask(name: str, act: Callable[[], Any], **limits: float) -> Any:
    """What a provider gives whose method `name` does `act`; an awaited one awaits what can be."""
    provider: Any = FakeProvider(plain_spec("openai"))

    async def later(*given: object) -> object:
        done = act()
        return await done if asyncio.iscoroutine(done) else done

    setattr(provider, name, later if name in AWAITED else lambda *_: act())
    guarded = loaded(provider, **limits)
    done = EVERY[name](guarded, NoHttp())
    return await done if name in AWAITED else done


def raising(error: BaseException) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


class SpeechlessError(ProviderError):
    def __str__(self) -> str:
        raise RuntimeError(KEY)

    __repr__ = __str__


class LoudMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__name__":
            raise RuntimeError(KEY)
        return super().__getattribute__(name)


class LoudError(Exception, metaclass=LoudMeta):
    pass


ESCAPES = [
    RuntimeError(KEY),
    SystemExit(KEY),
    KeyboardInterrupt(KEY),
    GeneratorExit(KEY),
    asyncio.CancelledError(KEY),
    StopIteration(KEY),
    StopAsyncIteration(KEY),
    BaseExceptionGroup(KEY, [KeyboardInterrupt(KEY)]),
    NotImplementedError(),
    AuthenticationError(),
    StoreError(),
    type(KEY, (BaseException,), {})(KEY),
    LoudError(KEY),
]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("error", ESCAPES, ids=lambda error: type.__dict__["__name__"].__get__(type(error)))
async def test_whatever_it_raises_it_fails_as_a_plugin(name: str, error: BaseException) -> None:
    with pytest.raises(PluginFailedError) as caught:
        await ask(name, raising(error))
    told = repr(caught.value.__dict__) + repr(caught.value) + repr((caught.value.__cause__, caught.value.__context__))
    assert not recoverable(KEY, told)
    assert caught.value.code == "plugin_failed"


@pytest.mark.parametrize("name", OF_AN_ACCOUNT)
async def test_a_typed_error_goes_through_without_what_the_plugin_added(name: str) -> None:
    class AcmeError(InvalidAuthError):
        code = "acme_auth"

    error = AcmeError(f"no {KEY}\x1b[31m", status="401")  # type: ignore[arg-type]  # a careless plugin's
    error.key = KEY  # type: ignore[attr-defined]
    with pytest.raises(InvalidAuthError, match="no ") as caught:
        await ask(name, raising(error))
    assert type(caught.value) is InvalidAuthError
    assert (caught.value.code, caught.value.status) == ("acme_auth", None)
    assert str(caught.value).isprintable()
    assert not recoverable(KEY, repr(caught.value.__dict__) + str(caught.value))


async def test_no_error_is_quoted_where_nothing_knows_the_secrets() -> None:
    with pytest.raises(PluginFailedError) as caught:
        await ask("openai_model_name", raising(InvalidInputError(KEY)))
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("name", OF_AN_ACCOUNT)
async def test_an_error_that_cannot_say_what_it_is_is_told_all_the_same(name: str) -> None:
    with pytest.raises(ProviderError, match="gives no reason") as caught:
        await ask(name, raising(SpeechlessError(KEY)))
    assert KEY not in repr(caught.value.__dict__)


@pytest.mark.parametrize("wait", ["soon", float("inf"), float("nan"), -1, None, True, [KEY]])
async def test_seconds_to_wait_are_a_number_or_nothing(wait: Any) -> None:
    with pytest.raises(RateLimitedError) as caught:
        await ask("check", raising(RateLimitedError(retry_after=wait)))
    assert caught.value.retry_after in {None, 1.0}


@pytest.mark.parametrize("fields", [None, 7, {KEY: KEY}, dict.fromkeys(range(10_000), "x")])
async def test_the_fields_of_an_error_are_few_and_tell_no_secret(fields: Any) -> None:
    error = InvalidInputError("no")
    error.fields = fields
    with pytest.raises(InvalidInputError) as caught:
        await ask("base_url", raising(error))
    assert len(caught.value.fields) <= 100
    assert not recoverable(KEY, repr(caught.value.fields))


class Odd:
    """Raises whatever is asked of it."""

    def _raise(self) -> Any:
        raise RuntimeError(KEY)

    __iter__ = __len__ = __str__ = __repr__ = __bool__ = __hash__ = _raise


class OddReport(ConnectionReport, frozen=True, kw_only=True):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(KEY)


async def nothing() -> None: ...


async def stream() -> Any:
    yield ConnectionReport(outcome=Outcome.OK, message="")


ANSWERS = [None, 7, True, b"https://a.example", [], object(), Odd(), ConnectionReport, iter(()), "", "a\nb", "\ud800"]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "answer", ANSWERS, ids=lambda one: type(one).__name__ + (one if isinstance(one, str) else "").__repr__()
)
async def test_what_is_no_answer_is_its_failure(name: str, answer: object) -> None:
    with pytest.raises(PluginFailedError):
        await ask(name, lambda: answer)


@pytest.mark.parametrize("name", EVERY)
async def test_a_coroutine_or_a_generator_in_place_of_an_answer_is_its_failure(name: str) -> None:
    for make in (stream, nothing) if name in AWAITED else (stream,):
        with pytest.raises(PluginFailedError):
            await ask(name, make)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("check", ConnectionReport(outcome="fine", message="")),  # type: ignore[arg-type]
        ("check", ConnectionReport(outcome=Outcome.OK, message=None)),  # type: ignore[arg-type]
        ("check", ConnectionReport(outcome=Outcome.OK, message="", models="abc")),  # type: ignore[arg-type]
        ("try_model", ModelReport(outcome="ok!", message="")),  # type: ignore[arg-type]
        ("try_model", ModelReport(outcome=Outcome.OK, message="", details=7)),  # type: ignore[arg-type]
        ("discover", Discovery(models=None)),  # type: ignore[arg-type]
        ("discover", Discovery(models=(), failure=ValueError(KEY))),  # type: ignore[arg-type]
        ("authorize", replace(REQUEST, url=None)),
        ("authorize", replace(REQUEST, method=7)),
        ("authorize", replace(REQUEST, headers=None)),
        ("authorize", replace(REQUEST, headers={"x": 7})),
        ("authorize", replace(REQUEST, headers={7: "x"})),
        ("client_config", {7: "x"}),
        ("base_url", "https://a.example/" + "x" * 10_000),
        ("openai_model_name", "x" * (LONGEST_MODEL_NAME + 1)),
    ],
)
async def test_an_answer_filled_with_something_else_than_it_declares_is_its_failure(name: str, answer: object) -> None:
    with pytest.raises(PluginFailedError) as caught:
        await ask(name, lambda: answer)
    assert KEY not in str(caught.value)


async def test_a_report_that_cannot_be_read_is_its_failure() -> None:
    with pytest.raises(PluginFailedError):
        await ask("check", lambda: OddReport(outcome=Outcome.OK, message=""))


def found(*names: Any) -> Callable[[], Discovery]:
    return lambda: Discovery(models=tuple(DiscoveredModel(name=name, type=LANGUAGE) for name in names))


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", " gpt", "gpt ", "\ud800", "\x00", "a\u200b", "x" * 301, KEY, None, 7, b"a"]
)
async def test_a_model_nobody_could_register_is_left_out_and_counted(name: Any) -> None:
    discovery = await ask("discover", found("good", name))
    assert ([one.name for one in discovery.models], discovery.withheld) == (["good"], 1)
    report = await ask("check", lambda: ConnectionReport(outcome=Outcome.OK, message="", models=("good", name)))
    assert report.models == ("good",)


async def test_a_model_that_is_listed_twice_is_found_once() -> None:
    discovery = await ask("discover", found("m", "m", "n"))
    assert ([one.name for one in discovery.models], discovery.withheld) == (["m", "n"], 0)


async def test_a_type_the_provider_does_not_declare_is_left_empty() -> None:
    models = tuple(DiscoveredModel(name=type.value, type=type) for type in Modality)
    discovery = await ask("discover", lambda: Discovery(models=models))
    assert {one.name for one in discovery.models if one.type is not None} == {"language", "embedding"}
    assert discovery.withheld == 0


async def test_more_models_than_anybody_has_are_left_out() -> None:
    models = tuple(DiscoveredModel(name=f"m{n}", type=LANGUAGE) for n in range(MOST_MODELS + 5))
    discovery = await ask("discover", lambda: Discovery(models=models))
    assert (len(discovery.models), discovery.withheld) == (MOST_MODELS, 5)


class Sly(str):
    """Text that says something else when it is asked."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"

    isprintable = strip = __len__ = lambda *_: 1  # type: ignore[assignment]


async def test_text_of_a_strangers_class_is_made_plain_text() -> None:
    discovery = await ask("discover", found(Sly("m")))
    report = await ask(
        "check",
        lambda: ConnectionReport(outcome=Sly("ok"), message=Sly("fine\x07"), models=(Sly("m"),)),  # type: ignore[arg-type]
    )
    url = await ask("base_url", lambda: Sly("https://a.example/v1/"))
    assert {type(one) for one in (discovery.models[0].name, report.message, report.models[0], url)} == {str}
    assert (discovery.models[0].name, report.message, url) == ("m", "fine ", "https://a.example/v1")
    assert report.outcome is Outcome.OK


async def test_a_fallback_without_a_reason_is_a_fallback_all_the_same() -> None:
    discovery = await ask("discover", lambda: Discovery(models=(), failure=""))
    assert discovery.failure


@pytest.mark.parametrize("name", AWAITED)
async def test_one_that_hangs_and_heeds_nothing_is_left_behind(name: str) -> None:
    released = asyncio.Event()

    async def hang() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError(KEY)

    with pytest.raises(PluginFailedError, match=r"took longer than 0\.01 seconds"):
        await ask(name, hang, ask_within=0.01, authorize_within=0.01)

    asked = asyncio.ensure_future(ask(name, hang))
    await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asked, 1)
    released.set()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", AWAITED)
async def test_a_cancelled_call_cancels_the_plugins(name: str) -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    asked = asyncio.ensure_future(ask(name, slow))
    await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.sleep(0)
    assert ended == [name]


async def test_what_a_plugin_left_behind_raises_later_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def late() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise RuntimeError(KEY)

    caplog.set_level(logging.DEBUG)
    with pytest.raises(PluginFailedError):
        await ask("check", late, ask_within=0.01)
    await asyncio.sleep(0.01)
    gc.collect()
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), RuntimeError(KEY), asyncio.CancelledError()], ids=repr
)
async def test_what_a_plugin_does_to_buy_a_token_ends_nothing(error: BaseException) -> None:
    http = NoHttp()
    http.tokens = MemoryTokenCache()

    async def buy(account: Account) -> BoughtToken:
        raise error

    provider = FakeProvider(plain_spec("openai"))

    async def authorize(account: Account, request: Request, http: Http) -> Request:
        return request.with_header("Authorization", await http.tokens.get(account, buy))

    provider.authorize = authorize  # type: ignore[method-assign]
    with pytest.raises(PluginFailedError):
        await loaded(provider).authorize(ACCOUNT, REQUEST, http)


@pytest.mark.parametrize(
    "sold",
    [None, "token", BoughtToken(token="raw", expires_in=1), BoughtToken(token=Secret("t"), expires_in="1")],  # type: ignore[arg-type]
    ids=str,
)
async def test_a_token_that_is_none_is_not_kept(sold: Any) -> None:
    async def buy(account: Account) -> BoughtToken:
        return sold  # type: ignore[no-any-return]

    provider = FakeProvider(plain_spec("openai"))

    async def authorize(account: Account, request: Request, http: Http) -> Request:
        return request.with_header("Authorization", await http.tokens.get(account, buy))

    provider.authorize = authorize  # type: ignore[method-assign]
    with pytest.raises(PluginFailedError):
        await loaded(provider).authorize(ACCOUNT, REQUEST, NoHttp())


class Least:
    """What a provider has to have, and no more."""

    client_name = "least"
    spec = plain_spec("least")

    async def discover(self, account: Account, http: Http) -> Discovery:
        return Discovery(models=())

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        return ConnectionReport(outcome=Outcome.OK, message="")

    async def try_model(self, account: Account, name: str, type: Modality, http: Http) -> ModelReport:
        return ModelReport(outcome=Outcome.OK, message="")

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        return request

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        return "https://least.example"

    def client_config(self, account: Account, type: Modality | None = None) -> dict[str, str]:
        return {}


def test_each_capability_has_a_default() -> None:
    least = loaded(Least())
    assert least.openai_base_url(ACCOUNT, LANGUAGE) == "https://least.example"
    assert least.openai_model_name("m") == "m"
    assert not least.speaks_anthropic
    assert not least.refuses_key(401, b"")
    with pytest.raises(PluginFailedError):
        least.anthropic_base_url(ACCOUNT)


@pytest.mark.parametrize("act", [raising(SystemExit(1)), lambda: None, lambda: "yes", Odd])
def test_a_provider_that_cannot_judge_a_refusal_says_no(act: Callable[[], object]) -> None:
    provider: Any = Least()
    provider.refuses_key = lambda *_: act()
    assert loaded(provider).refuses_key(403, b"{}") is False


def test_what_is_behind_the_boundary_already_is_not_put_behind_another() -> None:
    guarded = loaded(Least())
    assert loaded(guarded) is guarded
    assert isinstance(guarded.with_spec(guarded.spec), GuardedProvider)


def errors() -> Iterator[type[KeycairnError]]:
    waiting: list[type[KeycairnError]] = [ProviderError, InvalidInputError]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting += [one for one in kind.__subclasses__() if one.__module__.startswith("keycairn.domain.errors")]


@pytest.mark.parametrize("kind", list(errors()), ids=lambda kind: kind.__name__)
async def test_every_error_a_plugin_may_raise_keeps_its_class_and_can_be_shown(kind: type[KeycairnError]) -> None:
    error = kind.__new__(kind, f"no: {KEY}")
    with pytest.raises(kind) as caught:
        await ask("check", raising(error))
    assert type(caught.value) is kind
    assert (caught.value.code, KEY in str(caught.value)) == (kind.code, False)
