"""A provider whose plugin does what a test says, asked through the boundary."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.house import FakeProvider, NoHttp, plain_spec

from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.loaded import GuardedProvider, loaded
from keycairn.ports.http import Http, Request

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


class Odd:
    """Raises whatever is asked of it."""

    def _raise(self) -> Any:
        raise RuntimeError(KEY)

    __iter__ = __len__ = __str__ = __repr__ = __bool__ = __hash__ = _raise
