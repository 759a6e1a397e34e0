"""The part of the suite about where secrets, and tokens bought with them, go."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress

import msgspec
import pytest
from msgspec.structs import replace

from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.domain.errors import KeycairnError
from keycairn.domain.provider import Account, FieldKind, ProviderSpec, SettingValue
from keycairn.domain.secret import Secret
from keycairn.domain.url import origin_of, parse_url
from keycairn.ports.http import Request, Response
from keycairn.ports.provider import Provider
from keycairn.testing.case import ProviderCase
from keycairn.testing.server import KEY
from keycairn.testing.staging import Stage, plain_headers, set_up

_WORDS = ("eu", "us", "global", "us-east-1", "alternative")
"""What a setting that chooses a host may take."""
_ANSWER = {"data": [], "models": [], "access_token": "bought", "expires_in": 3600}


class Nowhere:
    """An Http that leads nowhere, and keeps what it was to send."""

    def __init__(self) -> None:
        self.tokens: MemoryTokenCache = MemoryTokenCache()
        self.sent: list[Request] = []

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:  # noqa: ARG002  # the port's
        """Something that many providers' lists look like."""
        self.sent.append(request)
        return Response(status=200, body=msgspec.json.encode(_ANSWER))

    def vet(self, url: str, *, field: str | None = None) -> None:
        """By its form."""
        parse_url(url, field=field)


class BindingConformance:
    """What has to be true of where a provider sends secrets."""

    def test_a_secret_is_sent_only_where_it_is_declared_to_go(self, case: ProviderCase) -> None:
        spec = case.provider.spec
        urls = [field.name for field in spec.settings if field.kind is FieldKind.URL]
        if not urls:
            pytest.skip("this provider has no URL setting")
        settings = {**case.settings("https://any.example"), **{name: _host(name) for name in urls}}
        secrets = {field.name: f"{KEY}-of-{field.name}-" for field in spec.secrets}
        secrets |= {name: one for name, one in case.secrets.items() if KEY not in one}
        account = _account(spec, settings, secrets)
        for request in asyncio.run(_everything(case, account)):
            for name, secret in secrets.items():
                if secret in _text(request):
                    allowed = {origin_of(_host(one.name)) for one in spec.places(name) if one.name in urls}
                    assert origin_of(request.url) in allowed, f"{name} is sent where its field does not say"

    def test_only_declared_settings_choose_the_host(self, case: ProviderCase) -> None:
        spec = case.provider.spec
        urls = {field.name for field in spec.settings if field.kind is FieldKind.URL}
        settings = {name: one for name, one in case.settings("https://any.example").items() if name not in urls}
        for field in spec.settings:
            if field.kind is not FieldKind.URL and not field.names_host:
                words: tuple[SettingValue, ...] = (7,) if field.kind is FieldKind.INTEGER else _WORDS
                origins = {
                    origin
                    for word in words
                    for origin in _origins(case.provider, _account(spec, {**settings, field.name: word}, case.secrets))
                }
                assert len(origins) <= 1, f"{field.name} chooses the host: it needs names_host"

    def test_a_token_serves_only_the_account_it_was_bought_with(self, case: ProviderCase) -> None:
        signs = not any(isinstance(value, str) and KEY in value for value in case.auth.values())

        async def play() -> None:
            async with set_up(case) as one, set_up(case) as other:
                keys = (f"{KEY}-of-one-", f"{KEY}-of-other-")
                one.server.key, other.server.key = keys
                accounts = [
                    replace(
                        case.account(stage.server.url, {n: s.replace(KEY, key) for n, s in case.secrets.items()}),
                        credential=f"credential:{key}",
                    )
                    for stage, key in zip((one, other), keys, strict=True)
                ]
                sent: dict[str, set[str]] = {}
                for mine, foreign, account in [*zip(keys, reversed(keys), accounts, strict=True)] * 2:
                    ready = await _ready(one, account)
                    assert foreign not in _text(ready), "an account got what belongs to another"
                    sent.setdefault(mine, set()).add(_text(ready))
                    assert mine in _text(ready) or not case.secrets or signs
                assert sent[keys[0]].isdisjoint(sent[keys[1]]) or not case.secrets, "two accounts send the same"
                arrived = [
                    str((recorded.target, recorded.headers, recorded.body)) for recorded in other.server.requests
                ]
                assert not any(keys[0] in text for text in arrived), "a server got what belongs to another"

        asyncio.run(play())

    def test_every_account_and_every_edit_of_it_buys_for_itself(self, case: ProviderCase) -> None:
        async def play() -> None:
            async with set_up(case) as stage:
                first = replace(stage.account, credential="credential:1", version=1)
                await _ready(stage, first)
                bought = len(stage.http.sent)
                for other in (replace(first, credential="credential:2"), replace(first, version=2)):
                    stage.http.sent.clear()
                    await _ready(stage, other)
                    assert len(stage.http.sent) == bought, "what one account bought was used for another"

        asyncio.run(play())


async def _ready(stage: Stage, account: Account) -> Request:
    request = Request(method="POST", url=f"{stage.provider.base_url(account)}/anything", body=b"{}")
    return await stage.provider.authorize(account, request, stage.http)


async def _everything(case: ProviderCase, account: Account) -> list[Request]:
    """What a check, a discovery, every try and calls of the gateway send."""
    provider, http = case.provider, Nowhere()
    with suppress(KeycairnError):
        await provider.check(account, http)
    with suppress(KeycairnError):
        await provider.discover(account, http)
    for kind, name in case.tries:
        with suppress(KeycairnError):
            await provider.try_model(account, name, kind, http)
    ready: list[Request] = []
    for type in (None, *provider.spec.modalities):
        with suppress(KeycairnError):
            request = Request(method="POST", url=f"{provider.base_url(account, type)}/anything", body=b"{}")
            ready.append(await provider.authorize(account, request, http))
    return [*http.sent, *ready]


def _account(spec: ProviderSpec, settings: Mapping[str, SettingValue], secrets: Mapping[str, str]) -> Account:
    return Account(
        provider=spec.name,
        settings=spec.effective(settings),
        secrets={name: Secret(text) for name, text in secrets.items()},
    )


def _origins(provider: Provider, account: Account) -> Iterator[str]:
    """The origins of the provider's URLs for an account; none of those that the account does not have."""
    for type in (None, *provider.spec.modalities):
        with suppress(KeycairnError):
            yield origin_of(provider.base_url(account, type))
    for name in ("openai_base_url", "anthropic_base_url"):
        if (base := getattr(provider, name, None)) is not None:
            with suppress(KeycairnError):
                yield origin_of(base(account))


def _host(name: str) -> str:
    return f"https://{name.replace('_', '-')}.example"


def _text(request: Request) -> str:
    return f"{request.url} {plain_headers(request)} {request.body!r}"
