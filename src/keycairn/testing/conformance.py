"""The suite every provider has to pass, the built-in ones too."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from keycairn.domain.environment import read_account
from keycairn.domain.errors import (
    CannotConnectError,
    ClientConfigError,
    InvalidAuthError,
    ModelGoneError,
    ProviderError,
    RateLimitedError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import Outcome, Provenance
from keycairn.domain.pass_through import passing_faults
from keycairn.domain.provider import FieldKind, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.plugins.declared import vetted
from keycairn.ports.http import Request
from keycairn.testing.binding import BindingConformance
from keycairn.testing.case import OF_MODELS, OUTCOMES, UNUSABLE_KEYS, Fault, ProviderCase, Sent
from keycairn.testing.exposure import shows_secret, unmarked_headers
from keycairn.testing.server import KEY
from keycairn.testing.staging import Stage, plain_headers, set_up, staged

_SAMPLES = {FieldKind.URL: "https://provider.example", FieldKind.INTEGER: "7"}


class ProviderConformance(BindingConformance):
    """What has to be true of a provider.

    Subclass it, and give the fixture `case`:

        class TestAcme(ProviderConformance):
            @pytest.fixture
            def case(self) -> ProviderCase:
                return openai_case(PROVIDER)

    The provider runs against a server on a real socket, through the client the service uses.
    """

    @pytest.fixture
    def case(self) -> ProviderCase:
        """The provider and what is expected of it. Override this."""
        raise NotImplementedError("Give your subclass of ProviderConformance a fixture `case`.")

    def test_the_registry_takes_it(self, case: ProviderCase) -> None:
        spec, provider = vetted(case.provider)
        assert (spec, provider) == (case.provider.spec, case.provider)
        assert spec.label
        assert all(field.label for field in spec.fields), "a field without a label"
        assert all(path == path.strip("/ ") and path for path in spec.native_paths), "native paths have no outer slash"
        assert not [*passing_faults(spec.native_operations, spec.request_headers)]

    def test_the_spec_survives_the_way_through_json(self, case: ProviderCase) -> None:
        spec = case.provider.spec
        assert msgspec.json.decode(msgspec.json.encode(spec), type=ProviderSpec) == spec

    def test_the_environment_fills_its_fields(self, case: ProviderCase) -> None:
        spec = case.provider.spec
        for position in range(max(len(field.env) for field in spec.fields)):
            fields = [field for field in spec.fields if len(field.env) > position]
            values = {field.name: _SAMPLES.get(field.kind, f"value-of-{field.name}") for field in fields}
            variables = {field.env[position]: Secret(values[field.name]) for field in fields}
            account = read_account(spec, variables)
            found = {**account.settings, **{name: secret.reveal() for name, secret in account.secrets.items()}}
            assert found == values
            assert "value-of" not in repr(account.secrets)
            if position == 0:
                assert account.configured, f"all variables are set, and still missing: {account.missing}"
            assert not read_account(spec, {name: Secret("  ") for name in variables}).variables, "blank is unset"

    @staged
    async def test_a_check_sends_what_it_should_and_proves_the_key(self, stage: Stage) -> None:
        report = await stage.provider.check(stage.account, stage.http)
        assert report.outcome is Outcome.OK
        assert report.message
        assert stage.sent() == stage.expected(*stage.case.checks)

    @staged
    async def test_discovery_sends_what_it_should_and_tells_each_models_type(self, stage: Stage) -> None:
        discovery = await stage.provider.discover(stage.account, stage.http)
        assert stage.sent() == stage.expected(*stage.case.discovers)
        assert discovery.failure is None
        assert {model.name: model.type for model in discovery.models} == stage.case.models
        undeclared = {model.type for model in discovery.models} - {None, *stage.provider.spec.modalities}
        assert not undeclared, "types the spec does not declare"
        assert len({model.name for model in discovery.models}) == len(discovery.models), "a model is listed twice"

    @staged
    async def test_a_provider_without_models_is_no_failure(self, stage: Stage) -> None:
        stage.server.fault = "no_models"
        discovery = await stage.provider.discover(stage.account, stage.http)
        assert not any(model.provenance is Provenance.LIVE for model in discovery.models)
        assert discovery.failure is None

    @pytest.mark.parametrize("fault", OUTCOMES, ids=str)
    @staged
    async def test_a_check_fails_by_the_right_error(self, stage: Stage, fault: Fault) -> None:
        kind = stage.case.outcomes.get(fault, OUTCOMES[fault])
        stage.server.fault = fault
        stage.http.patience = 0.02 if fault == "slow" else stage.http.patience
        if kind is None:
            assert (await stage.provider.check(stage.account, stage.http)).success
            return
        with pytest.raises(ProviderError) as caught:
            await stage.provider.check(stage.account, stage.http)
        assert type(caught.value) is kind
        assert not shows_secret(stage, caught.value), "the error shows a secret"
        if isinstance(caught.value, RateLimitedError):
            assert caught.value.retry_after == 7, "the seconds of Retry-After"
        elif isinstance(fault, int):
            assert caught.value.status == fault

    @pytest.mark.parametrize("fault", OUTCOMES, ids=str)
    @staged
    async def test_discovery_fails_by_the_right_error_or_says_why_it_falls_back(
        self, stage: Stage, fault: Fault
    ) -> None:
        stage.server.fault = fault
        stage.http.patience = 0.02 if fault == "slow" else stage.http.patience
        failed: ProviderError | None = None
        try:
            discovery = await stage.provider.discover(stage.account, stage.http)
        except ProviderError as error:
            failed = error
        if failed is not None:
            assert type(failed) is OUTCOMES[fault]
            assert not shows_secret(stage, failed), "the error shows a secret"
            return
        if not stage.case.discovers:
            assert not stage.http.sent
            return
        assert fault not in {401, 403}, "known models are no stand-in where the key is refused"
        assert discovery.failure, "a list that was not read has to say so"
        assert discovery.provenance is (Provenance.FALLBACK if discovery.models else Provenance.NONE)
        assert all(model.provenance is Provenance.FALLBACK for model in discovery.models)
        assert not shows_secret(stage, discovery.failure)

    @staged
    async def test_a_wrong_key_is_told_from_everything_else(self, stage: Stage) -> None:
        if not stage.case.secrets:
            pytest.skip("this provider has no key")
        account = stage.case.account(stage.server.url, stage.case.wrong_secrets())
        calls = [stage.provider.check] if stage.case.public_list else [stage.provider.check, stage.provider.discover]
        for call in calls:
            with pytest.raises(InvalidAuthError) as caught:
                await call(account, stage.http)
            assert not shows_secret(stage, caught.value, hidden=stage.case.wrong_secrets())

    def test_a_server_that_is_not_there_cannot_be_connected(self, case: ProviderCase) -> None:
        async def play() -> None:
            async with set_up(case) as stage:
                pass
            async with set_up(case) as other:
                with pytest.raises(CannotConnectError):
                    await case.provider.check(stage.account, other.http)

        asyncio.run(play())

    @staged
    async def test_without_a_required_key_nothing_is_sent(self, stage: Stage) -> None:
        required = [field.name for field in stage.provider.spec.secrets if field.required]
        if not required:
            pytest.skip("this provider works without a key")
        await _refuses(stage, {name: one for name, one in stage.case.secrets.items() if name not in required})
        for blank in ("", "  "):
            await _refuses(stage, {**stage.case.secrets, **dict.fromkeys(required, blank)})

    @pytest.mark.parametrize("key", UNUSABLE_KEYS, ids=ascii)
    @staged
    async def test_a_key_no_header_can_carry_is_refused_before_it_is_sent(self, stage: Stage, key: str) -> None:
        if not stage.case.secrets:
            pytest.skip("this provider has no key")
        await _refuses(stage, dict.fromkeys(stage.case.secrets, key))

    def test_a_model_of_each_declared_type_is_tried(self, case: ProviderCase) -> None:
        assert {type for type, _ in case.tries} == set(case.provider.spec.modalities)

    @staged
    async def test_a_model_is_tried_by_one_small_call(self, stage: Stage) -> None:
        for (type, name), tried in stage.case.tries.items():
            stage.http.sent.clear()
            stage.server.requests.clear()
            report = await stage.provider.try_model(stage.account, name, type, stage.http)
            assert (report.outcome, report.details) == (Outcome.OK, tried.details)
            assert stage.sent()[-1:] == stage.expected(Sent("POST", tried.target, tried.body, stage.case.auth))

    @staged
    async def test_a_model_the_provider_does_not_have_is_gone(self, stage: Stage) -> None:
        for (type, name), tried in stage.case.tries.items():
            if name in f"{tried.target} {tried.body}":
                with pytest.raises(ModelGoneError):
                    await stage.provider.try_model(stage.account, "retired/model?x=1", type, stage.http)

    @pytest.mark.parametrize("fault", OF_MODELS, ids=str)
    @staged
    async def test_a_tried_model_fails_by_the_right_error(self, stage: Stage, fault: Fault) -> None:
        stage.server.fault = fault
        for type, name in stage.case.tries:
            with pytest.raises(ProviderError) as caught:
                await stage.provider.try_model(stage.account, name, type, stage.http)
            assert isinstance(caught.value, OUTCOMES[fault])
            assert not shows_secret(stage, caught.value), "the error shows a secret"

    @staged
    async def test_a_type_the_provider_lacks_is_a_clear_error(self, stage: Stage) -> None:
        for type in set(Modality) - set(stage.provider.spec.modalities):
            with pytest.raises(ProviderError, match=type):
                await stage.provider.try_model(stage.account, "any", type, stage.http)
        assert stage.server.requests == []

    @staged
    async def test_a_gateways_call_gets_the_key_in_place_of_any_other(self, stage: Stage) -> None:
        url = f"{stage.provider.base_url(stage.account)}/anything"
        body = b'{"model": "any"}'
        for rename in (str, str.lower):
            theirs = {rename(name): "theirs" for name in stage.case.auth}
            request = Request(method="POST", url=url, headers={**theirs, "x-trace": "1"}, body=body)
            ready = await stage.provider.authorize(stage.account, request, stage.http)
            headers = plain_headers(ready)
            own = {name: one for name, one in stage.case.auth.items() if not isinstance(one, str) or KEY in one}
            assert {name: headers.get(name) for name in own} == own
            assert "theirs" not in {headers.get(name) for name in own}, "a header of the client's went on"
            assert headers["x-trace"] == "1"
            assert len({name.lower() for name in headers}) == len(headers), "a header is there twice"
            assert (ready.method, ready.body) == ("POST", body)
            assert urlsplit(ready.url)[:2] == urlsplit(url)[:2], "another host than the account's"
            assert stage.case.key_in_url or KEY not in ready.url, "a key in a URL ends up in logs"
            assert not unmarked_headers(ready), "a header with the key has to be a Secret"
            assert not shows_secret(stage, ready)

    @staged
    async def test_its_urls_lead_to_the_accounts_server(self, stage: Stage) -> None:
        for type in (None, *stage.provider.spec.modalities):
            urls = [stage.provider.base_url(stage.account, type)]
            if (openai := getattr(stage.provider, "openai_base_url", None)) is not None:
                urls.append(openai(stage.account, type))
            if (anthropic := getattr(stage.provider, "anthropic_base_url", None)) is not None:
                urls.append(anthropic(stage.account))
            assert all(url.startswith(stage.server.origin) and not url.endswith("/") for url in urls)

    @staged
    async def test_the_config_for_clients_is_plain_and_leads_to_the_accounts_server(self, stage: Stage) -> None:
        assert stage.provider.client_name
        for type in (None, *stage.provider.spec.modalities):
            try:
                config = stage.provider.client_config(stage.account, type)
            except ClientConfigError:
                continue  # which says that no client can be made to act as the account
            values = list(_leaves(config))
            assert all(isinstance(value, str | int | float) for value in values), "text, numbers and mappings only"
            urls = [value for value in values if isinstance(value, str) and value.startswith("http")]
            assert all(url.startswith(stage.server.origin) for url in urls)

    @staged
    async def test_nothing_it_hands_out_shows_a_secret(self, stage: Stage) -> None:
        shown = [stage.provider, stage.provider.spec, stage.account]
        shown += [await stage.provider.check(stage.account, stage.http)]
        shown += [await stage.provider.discover(stage.account, stage.http)]
        assert not shows_secret(stage, shown, stage.http.sent)
        assert not any(map(unmarked_headers, stage.http.sent)), "a header with the key has to be a Secret"
        if not stage.case.key_in_url:
            assert not any(KEY in request.url for request in stage.http.sent)


async def _refuses(stage: Stage, secrets: Mapping[str, str]) -> None:
    """With `secrets`, every call ends in InvalidAuthError, and nothing leaves."""
    account = stage.case.account(stage.server.url, secrets)
    provider, http = stage.provider, stage.http
    calls: list[Callable[[], Awaitable[object]]] = [
        partial(provider.check, account, http),
        partial(provider.authorize, account, Request(url=stage.server.url), http),
    ]
    if stage.case.discovers:
        calls.append(partial(provider.discover, account, http))
    calls += [partial(provider.try_model, account, name, type, http) for type, name in stage.case.tries]
    for call in calls:
        with pytest.raises(InvalidAuthError) as caught:
            await call()
        assert not shows_secret(stage, caught.value, hidden=secrets)
    assert http.sent == []


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        assert all(isinstance(name, str) for name in value)
        for one in value.values():
            yield from _leaves(one)
    else:
        yield value
