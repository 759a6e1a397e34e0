"""What a provider need not have: each capability has a default, and none that fails does harm."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.guarded import ACCOUNT, LANGUAGE, Odd, raising
from tests.house import plain_spec

from keycairn.domain.errors import (
    PluginFailedError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Discovery, ModelReport, Outcome
from keycairn.domain.provider import Account
from keycairn.plugins.loaded import GuardedProvider, loaded
from keycairn.ports.http import Http, Request


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
    assert least.client_name_for(LANGUAGE) == "least"
    assert not least.speaks_anthropic
    assert not least.refuses_key(401, b"")
    with pytest.raises(PluginFailedError):
        least.anthropic_base_url(ACCOUNT)


@pytest.mark.parametrize("act", [raising(SystemExit(1)), lambda: None, lambda: "yes", Odd])
def test_a_provider_that_cannot_judge_a_refusal_says_no(act: Callable[[], object]) -> None:
    provider: Any = Least()
    provider.refuses_key = lambda *_: act()
    assert loaded(provider).refuses_key(403, b"{}") is False


@pytest.mark.parametrize("act", [lambda: None, lambda: "", lambda: 7, lambda: "a\nb", raising(ValueError())])
def test_a_client_name_that_is_none_is_the_plugins_failure(act: Callable[[], object]) -> None:
    provider: Any = Least()
    provider.client_name_for = lambda *_: act()
    with pytest.raises(PluginFailedError):
        loaded(provider).client_name_for(LANGUAGE)


def test_what_is_behind_the_boundary_already_is_not_put_behind_another() -> None:
    guarded = loaded(Least())
    assert loaded(guarded) is guarded
    assert isinstance(guarded.with_spec(guarded.spec), GuardedProvider)
