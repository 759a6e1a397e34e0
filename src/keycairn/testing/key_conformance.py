"""The suite for providers that manage keys."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import (
    EgressRefusedError,
    GarbledAnswerError,
    InvalidAuthError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
)
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey
from keycairn.domain.key_rotation.sealing import management_spec
from keycairn.domain.provider import Account, SettingValue
from keycairn.domain.secret import Secret
from keycairn.plugins.loaded import GuardedProvider, loaded
from keycairn.ports.provider import Provider
from keycairn.testing.key_server import ADMIN, KeyServer
from keycairn.testing.recording_http import RecordingHttp
from keycairn.testing.server import KEY

TAG = "keycairn-01j9zk3v6q8m2t4b7n5r0xwyce-1"
MANY = 105
"""Keys of a long list."""
FAULTS: Mapping[int | str, type[ProviderError]] = {
    401: InvalidAuthError,
    429: RateLimitedError,
    500: ProviderDownError,
    503: ProviderDownError,
    "html": GarbledAnswerError,
    "truncated": GarbledAnswerError,
    "redirect": GarbledAnswerError,
}


@dataclass(frozen=True, kw_only=True)
class KeyCase:
    """A provider that manages keys, and the server it is run against.

    `settings` gives the account's and the management's settings from the server's URL, `secrets` is the account's key,
    `admins` what manages keys. `fixed`: the account always has the same number of keys.
    """

    provider: Provider
    server: Callable[[], KeyServer]
    settings: Callable[[str], Mapping[str, SettingValue]]
    secrets: Mapping[str, str] = field(default_factory=lambda: {"api_key": KEY})
    admins: Mapping[str, str] = field(default_factory=lambda: {"management_key": ADMIN})
    fixed: bool = False
    most: int = MANY

    @property
    def management(self) -> KeyManagement:
        """What the provider declares."""
        declared = self.provider.spec.key_management
        assert declared is not None, "the spec declares no key_management"
        return declared

    def manager(self, url: str, secrets: Mapping[str, str] | None = None) -> Account:
        """The account that manages keys, as Keycairn hands it over; `secrets` in place of the account's key."""
        spec = self.provider.spec
        managing = management_spec(spec, self.management)
        given = self.settings(url)
        own = {name: spec.check_setting(name, value) for name, value in given.items() if spec.field(name)}
        asked = {name: managing.check_setting(name, value) for name, value in given.items() if managing.field(name)}
        key = self.secrets if secrets is None else secrets
        return Account(
            provider=spec.name,
            settings={**spec.effective(own), **managing.effective(asked)},
            secrets={name: Secret(text) for name, text in {**key, **self.admins}.items()},
            credential="key_rotation:01J9ZK3V6Q8M2T4B7N5R0XWYCE",
        )


@dataclass(frozen=True)
class KeyStage:
    """What a test plays on. `provider` is behind the boundary that Keycairn has around plugins."""

    case: KeyCase
    server: KeyServer
    http: RecordingHttp
    manager: Account
    provider: GuardedProvider

    async def listed(self) -> Mapping[str, ListedKey]:
        """The keys there are."""
        return {one.id: one for one in await self.provider.list_keys(self.manager, self.http)}


def played(test: Callable[[KeyStage], Awaitable[None]], case: KeyCase) -> None:
    """Run `test` on a stage of its own."""

    async def play() -> None:
        async with case.server() as server:
            http = GuardedHttp(EgressPolicy())
            try:
                manager = case.manager(server.url)
                await test(KeyStage(case, server, RecordingHttp(http), manager, loaded(case.provider)))
            finally:
                await http.aclose()
                await asyncio.sleep(0)

    asyncio.run(play())


class KeyManagementConformance:
    """What has to be true of a provider that manages keys.

    Subclass it, and give the fixture `case`, a `KeyCase`.
    """

    @pytest.fixture
    def case(self) -> KeyCase:
        """The provider and its server. Override this."""
        raise NotImplementedError("Give your subclass of KeyManagementConformance a fixture `case`.")

    def test_the_account_knows_its_own_key_in_the_list(self, case: KeyCase) -> None:
        async def test(stage: KeyStage) -> None:
            assert [id for id, one in (await stage.listed()).items() if one.current] == [stage.server.own]

        if case.management.lists:
            played(test, case)

    def test_a_key_is_made_listed_used_and_revoked(self, case: KeyCase) -> None:
        async def test(stage: KeyStage) -> None:
            before = await stage.listed()
            made = await stage.provider.create_key(stage.manager, KeyOrder(tag=TAG), stage.http)
            new = {name: secret.reveal() for name, secret in made.secrets.items()}
            assert "canary" not in repr(made), "a key shows in a repr"
            assert set(case.secrets.values()) & set(stage.server.living), "the account's own key has to live on"
            assert set(new.values()) & set(stage.server.living)
            listed = await stage.listed()
            assert made.id in listed
            assert len(listed) == len(before) + (0 if case.fixed else 1)
            if case.management.tagged:
                assert listed[made.id].tag == TAG
            with_new = await stage.provider.list_keys(case.manager(stage.server.url, new), stage.http)
            assert [one.id for one in with_new if one.current] == [made.id]
            if not case.management.revokes:
                return
            await stage.provider.revoke_key(stage.manager, KeyRef(id=made.id), stage.http)
            assert not set(new.values()) & set(stage.server.living)
            if not case.fixed:
                again = await stage.listed()
                assert made.id not in again or not again[made.id].usable
                await stage.provider.revoke_key(stage.manager, KeyRef(id=made.id), stage.http)

        if case.management.makes:
            played(test, case)

    def test_its_own_key_can_be_revoked(self, case: KeyCase) -> None:
        async def test(stage: KeyStage) -> None:
            own = {name: Secret(text) for name, text in case.secrets.items()}
            id = stage.server.own if case.management.lists else ""
            await stage.provider.revoke_key(stage.manager, KeyRef(id=id, secrets=own), stage.http)
            assert not set(case.secrets.values()) & set(stage.server.living)

        if case.management.revokes:
            played(test, case)

    def test_every_page_of_the_list_is_read(self, case: KeyCase) -> None:
        async def test(stage: KeyStage) -> None:
            for number in range(case.most):
                stage.server.new_key(f"filler {number}")
            assert len(await stage.listed()) == case.most + 1

        if case.management.lists and not case.fixed:
            played(test, case)

    def test_a_fault_is_told_as_what_it_is(self, case: KeyCase) -> None:
        async def test(stage: KeyStage) -> None:
            for fault, error in FAULTS.items():
                stage.server.fault = fault
                with pytest.raises(ProviderError) as caught:
                    await _asked(stage)
                assert type(caught.value) is error, f"the fault {fault}"

        played(test, case)

    def test_what_manages_keys_goes_to_its_origin_only(self, case: KeyCase) -> None:
        async def test(stage: KeyStage) -> None:
            await stage.listed()
            assert stage.http.sent
            assert all(one.url.startswith(f"{stage.server.origin}/") for one in stage.http.sent)
            texts = [secret.reveal() for secret in stage.manager.secrets.values()]
            assert not [one for one in stage.http.sent if any(text in one.url for text in texts)], "a secret in a URL"

        if case.management.lists:
            played(test, case)

    def test_no_request_of_it_leaves_for_another_origin(self, case: KeyCase) -> None:
        async def test(stage: KeyStage) -> None:
            settings = {name: value for name, value in stage.manager.settings.items() if "url" not in name}
            elsewhere = {one.name: "https://elsewhere.example" for one in case.management.fields if one.kind == "url"}
            manager = Account(
                provider=stage.manager.provider,
                settings={**settings, **elsewhere},
                secrets={name: one for name, one in stage.manager.secrets.items() if name in case.admins},
            )
            stage.server.fault = "redirect"
            with pytest.raises((ProviderError, EgressRefusedError)):
                await stage.provider.list_keys(manager, stage.http)
            assert not stage.server.requests

        if case.management.lists and case.management.creation is not KeyCreation.UNLISTED:
            played(test, case)


async def _asked(stage: KeyStage) -> None:
    if stage.case.management.lists:
        await stage.provider.list_keys(stage.manager, stage.http)
    elif stage.case.management.makes:
        await stage.provider.create_key(stage.manager, KeyOrder(tag=TAG), stage.http)
    else:
        key = {name: Secret(text) for name, text in stage.case.secrets.items()}
        await stage.provider.revoke_key(stage.manager, KeyRef(id="", secrets=key), stage.http)
