"""Whatever a plugin's method raises and however long it takes, it fails by one error that tells no secret."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from functools import partial, partialmethod
from typing import Any

import pytest
from msgspec.structs import replace
from tests.guarded import ACCOUNT, AWAITED, EVERY, KEY, OF_AN_ACCOUNT, REQUEST, ask, raising
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
from keycairn.domain.provider import Account
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.plugins.boundary import ends_at_once, kind_of
from keycairn.plugins.loaded import GuardedProvider, loaded
from keycairn.ports.http import Http, Request
from keycairn.ports.token_cache import BoughtToken


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


async def test_a_plugin_may_do_with_its_account_what_it_likes() -> None:
    provider: Any = FakeProvider(plain_spec("openai"))

    async def spoil(account: Account, *_: object) -> None:
        account.settings.clear()  # type: ignore[attr-defined]  # a careless plugin's
        account.secrets.clear()  # type: ignore[attr-defined]
        raise InvalidAuthError(KEY)

    def spoil_at_once(account: Account, *_: object) -> str:
        account.secrets["api_key"] = Secret("other")  # type: ignore[index]
        return "https://a.example"

    provider.discover = provider.check = provider.authorize = spoil
    provider.try_model = lambda account, *_: spoil(account)
    provider.base_url = provider.anthropic_base_url = provider.client_config = spoil_at_once
    before = replace(ACCOUNT, settings=dict(ACCOUNT.settings), secrets=dict(ACCOUNT.secrets))
    sound = loaded(FakeProvider(plain_spec("openai")))
    guarded = GuardedProvider(provider, sound.spec, sound.client_name)
    for name in EVERY:
        with suppress(KeycairnError):
            done = EVERY[name](guarded, NoHttp())
            await done if name in AWAITED else None
        assert before == ACCOUNT
    with pytest.raises(InvalidAuthError) as caught:
        await guarded.check(ACCOUNT, NoHttp())
    assert KEY not in str(caught.value)


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


@pytest.mark.parametrize(
    "error", [*ESCAPES, InvalidAuthError(KEY), ProviderError(KEY)], ids=lambda one: kind_of(one, Redactor())
)
async def test_a_method_that_awaits_nothing_fails_as_one_that_does(error: BaseException) -> None:
    provider: Any = FakeProvider(plain_spec("openai"))

    async def authorize(account: Account, request: Request, http: Http) -> Request:
        raise error

    provider.authorize = authorize
    with pytest.raises(KeycairnError) as at_once:
        await loaded(provider).authorize(ACCOUNT, REQUEST, NoHttp())
    with pytest.raises(KeycairnError) as waited:
        await ask("authorize", raising(error))
    assert ends_at_once(authorize)
    assert type(at_once.value) is type(waited.value)
    assert not recoverable(KEY, str(at_once.value))


async def test_a_method_that_awaits_nothing_costs_no_task() -> None:
    tasks: set[asyncio.Task[Any] | None] = set()
    provider: Any = FakeProvider(plain_spec("openai"))

    async def authorize(account: Account, request: Request, http: Http) -> Request:
        tasks.add(asyncio.current_task())
        return request.with_header("Authorization", "yes")

    provider.authorize = authorize
    answered = await loaded(provider).authorize(ACCOUNT, REQUEST, NoHttp())
    assert answered.headers["Authorization"] == "yes"
    assert tasks == {asyncio.current_task()}


class Waits:
    async def plain(self) -> int:
        return 1

    async def awaits(self) -> int:
        return await self.plain()

    async def iterates(self) -> list[int]:
        return [one async for one in self.numbers()]

    async def enters(self) -> int:
        async with asyncio.timeout(1):
            return await self.plain()

    async def numbers(self) -> AsyncIterator[int]:
        yield 1

    async def later(self) -> object:
        async def inner() -> int:
            return await self.plain()

        return inner

    def given(self) -> Awaitable[int]:
        return self.plain()

    wrapped = partialmethod(plain)

    async def __call__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("name", "at_once"),
    [
        ("plain", True),
        ("later", True),
        ("awaits", False),
        ("iterates", False),
        ("enters", False),
        ("numbers", False),
        ("given", False),
        ("wrapped", False),
        ("__class__", False),
    ],
)
def test_only_what_cannot_wait_is_known_to_end_at_once(name: str, *, at_once: bool) -> None:
    assert ends_at_once(getattr(Waits(), name)) is at_once
    assert not ends_at_once(Waits())
    assert not ends_at_once(partial(Waits().plain))
