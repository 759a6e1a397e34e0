"""The suite finds what it is there to find: each fault in a provider fails the test that is named for it."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from keycairn.domain.errors import ProviderError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, Outcome
from keycairn.domain.provider import Account, FieldSpec, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.plugins.base import Headers, authorized
from keycairn.plugins.fields import api_key, own_url, url_field
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.ports.http import Http, Request
from keycairn.testing import KEY, ProviderConformance, openai_case

SPEC = keyed_spec("acme", "Acme", Modality.LANGUAGE, docs_url="https://acme.example/keys")


class KeyInUrl(OpenAICompatible):
    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        ready = await super().authorize(account, request, http)
        return Request(method=ready.method, url=f"{ready.url}?key={KEY}", headers=ready.headers, body=ready.body)


class Unmarked(OpenAICompatible):
    def headers(self, account: Account, type: Modality | None = None) -> Headers:
        key = account.secret()
        return {"Authorization": f"Bearer {key.reveal()}"} if key else {}


class Oblivious(OpenAICompatible):
    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        return request


class Optimist(OpenAICompatible):
    async def check(self, account: Account, http: Http) -> ConnectionReport:
        await http.send(Request(url=self.url(account, "/models"), headers=self.headers(account)))
        return ConnectionReport(outcome=Outcome.OK, message="The key works.")


class Chatterbox(OpenAICompatible):
    async def check(self, account: Account, http: Http) -> ConnectionReport:
        response = await http.send(Request(url=self.url(account, "/models"), headers=self.headers(account)))
        if response.status != 200:
            raise ProviderError(response.body.decode())
        return await super().check(account, http)


class Wishful(OpenAICompatible):
    async def discover(self, account: Account, http: Http) -> Discovery:
        found = await super().discover(account, http)
        return Discovery(models=(*found.models, DiscoveredModel(name="vectors", type=Modality.EMBEDDING)))


class Silent(OpenAICompatible):
    async def discover(self, account: Account, http: Http) -> Discovery:
        try:
            return await super().discover(account, http)
        except ProviderError:
            return Discovery(models=())


class Homesick(OpenAICompatible):
    def base_url(self, account: Account, type: Modality | None = None) -> str:
        return "https://api.acme.example/v1" if type else super().base_url(account, type)


class Sealed(OpenAICompatible):
    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        return {"api_key": account.secret()}


class Talkative(OpenAICompatible):
    def __repr__(self) -> str:
        return f"Talkative({KEY})"


class Hoarder(OpenAICompatible):
    """Buys with each key once, whoever has it."""

    def __init__(self, spec: ProviderSpec) -> None:
        super().__init__(spec)
        self.kept: set[str] = set()

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        key = account.secrets["api_key"].reveal()
        if key not in self.kept:
            await http.send(Request(url=self.url(account, "/models"), headers=self.headers(account)))
            self.kept.add(key)
        return await super().authorize(account, request, http)


class Forgetful(OpenAICompatible):
    """Goes on with the headers it made first."""

    kept: Headers | None = None

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        self.kept = self.kept or self.headers(account)
        return authorized(request, self.kept)


class Stray(OpenAICompatible):
    """Sends the key for voices to the general server."""

    def headers(self, account: Account, type: Modality | None = None) -> Headers:
        return {**super().headers(account, type), "x-voice": account.secrets.get("voice_key", Secret(""))}


class Regional(OpenAICompatible):
    def base_url(self, account: Account, type: Modality | None = None) -> str:
        return own_url(account, "base_url") or f"https://{account.text('region')}.acme.example/v1"


REGION = FieldSpec(name="region", label="Region", env=("ACME_REGION",), default="eu")
VOICE = (
    url_field("voice_url", "Voice URL", env=("ACME_VOICE_URL",)),
    api_key("ACME_VOICE_KEY", name="voice_key", required=False, sent_to=("voice_url",)),
)
LOST = api_key("ACME_OTHER_KEY", name="other_key", required=False, sent_to=("nowhere",))
UNMAPPED = replace(SPEC, fields=(*SPEC.fields, FieldSpec(name="token", label="Token", secret=True)))
SHARED = replace(SPEC, fields=(*SPEC.fields, FieldSpec(name="region", label="Region", env=("ACME_API_KEY",))))
FAULTY = [
    (KeyInUrl(SPEC), "a_gateways_call_gets_the_key"),
    (Unmarked(SPEC), "a_gateways_call_gets_the_key"),
    (Unmarked(SPEC), "nothing_it_hands_out_shows_a_secret"),
    (Unmarked(SPEC), "a_key_no_header_can_carry"),
    (Unmarked(SPEC), "without_a_required_key_nothing_is_sent"),
    (Oblivious(SPEC), "a_gateways_call_gets_the_key"),
    (Optimist(SPEC), "a_check_fails_by_the_right_error"),
    (Optimist(SPEC), "a_wrong_key_is_told"),
    (Chatterbox(SPEC), "a_check_fails_by_the_right_error"),
    (Wishful(SPEC), "discovery_sends_what_it_should"),
    (Silent(SPEC), "discovery_fails_by_the_right_error"),
    (Homesick(SPEC), "its_urls_lead_to_the_accounts_server"),
    (Sealed(SPEC), "the_config_for_clients_is_plain"),
    (Talkative(SPEC), "nothing_it_hands_out_shows_a_secret"),
    (OpenAICompatible(UNMAPPED), "the_registry_takes_it"),
    (OpenAICompatible(SHARED), "the_environment_fills_its_fields"),
    (Hoarder(SPEC), "every_account_and_every_edit"),
    (Forgetful(SPEC), "a_token_serves_only_the_account"),
    (Stray(replace(SPEC, fields=(*SPEC.fields, *VOICE))), "a_secret_is_sent_only_where"),
    (Regional(replace(SPEC, fields=(*SPEC.fields, REGION))), "only_declared_settings_choose"),
    (OpenAICompatible(replace(SPEC, fields=(*SPEC.fields, LOST))), "the_registry_takes_it"),
    (OpenAICompatible(replace(SPEC, native_paths=("/models",))), "the_registry_takes_it"),
    (OpenAICompatible(replace(SPEC, native_operations=("models",))), "the_registry_takes_it"),
    (OpenAICompatible(replace(SPEC, request_headers=("authorization",))), "the_registry_takes_it"),
]


def failures(provider: OpenAICompatible, name: str) -> list[BaseException]:
    """What the suite's test of that name ends with, once for each of its parameters."""
    suite = ProviderConformance()
    (test,) = (getattr(suite, one) for one in dir(suite) if one.startswith(f"test_{name}"))
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    options = [{mark.args[0]: value} for mark in marks for value in mark.args[1]] or [{}]
    found: list[BaseException] = []
    for one in options:
        try:
            test(case=openai_case(provider), **one)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # any end but a good one
            found.append(error)
    return found


@pytest.mark.parametrize(("provider", "name"), FAULTY, ids=[f"{type(one).__name__}-{name}" for one, name in FAULTY])
def test_a_faulty_provider_fails(provider: OpenAICompatible, name: str) -> None:
    assert failures(provider, name)


@pytest.mark.parametrize("name", sorted({name for _, name in FAULTY}))
def test_a_good_one_passes(name: str) -> None:
    assert failures(OpenAICompatible(SPEC), name) == []
