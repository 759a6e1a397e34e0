"""Nimbus passes the suite of every Keycairn provider, and does what is its own."""

import pytest
from keycairn_nimbus import PROVIDER
from nimbus_server import NimbusServer

from keycairn.domain.errors import InvalidInputError
from keycairn.plugins import Account, Modality
from keycairn.plugins.registry import PluginRegistry
from keycairn.testing import KEY, ProviderCase, ProviderConformance, Sent, Try

HELLO = {"model": "quill-2", "prompt": "Hi", "limit": 16}


class TestNimbus(ProviderConformance):
    @pytest.fixture
    def case(self) -> ProviderCase:
        return ProviderCase(
            provider=PROVIDER,
            server=NimbusServer,
            auth={"X-Nimbus-Key": KEY},
            checks=[Sent("GET", "/v2/owner")],
            discovers=[Sent("GET", "/v2/models"), Sent("GET", "/v2/models?from=3")],
            public_list=True,
            models={
                "quill-2": Modality.LANGUAGE,
                "quill-2-mini": Modality.LANGUAGE,
                "atlas-1": Modality.EMBEDDING,
                "brush-1": None,
            },
            tries={
                (Modality.LANGUAGE, "quill-2"): Try("/v2/write", HELLO, "It wrote 6 characters."),
                (Modality.EMBEDDING, "atlas-1"): Try("/v2/map", {"model": "atlas-1", "text": "Hi"}, "2 dimensions"),
            },
        )


def account(region: str) -> Account:
    return Account(provider="nimbus", settings={"region": region}, secrets={})


@pytest.mark.parametrize("region", ["eu", "us", "ap"])
def test_each_region_has_its_host(region: str) -> None:
    assert PROVIDER.base_url(account(region)) == f"https://{region}.nimbus.example/v2"


def test_the_key_goes_to_no_host_that_a_region_spells() -> None:
    with pytest.raises(InvalidInputError):
        PROVIDER.base_url(account("thief.example/"))


def test_keycairn_finds_it() -> None:
    (status,) = (one for one in PluginRegistry().plugins() if one.name == "nimbus")
    assert status.failure is None
    assert status.providers == ("nimbus",)
