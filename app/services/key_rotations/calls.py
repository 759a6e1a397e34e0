"""What a rotation asks of providers and of what is stored: keys made, listed, revoked and tried, and who uses one."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from keycairn.app.services.keys import Vault
from keycairn.domain.credential import Credential, account, destinations
from keycairn.domain.credential import seal_context as of_credential
from keycairn.domain.errors import (
    InvalidAuthError,
    InvalidInputError,
    KeycairnError,
    MissingFieldError,
    NoPermissionError,
    ProviderError,
)
from keycairn.domain.field import SettingValue
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.key_rotation.binding import UNBOUND, is_providers, key_origins, strange_origins, target
from keycairn.domain.key_rotation.record import NEW, OLD, KeyRotation, Run, Target
from keycairn.domain.key_rotation.sealing import allowed_origins, management_spec, seal_context
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import Outcome
from keycairn.domain.provider import Account, ProviderSpec
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http
from keycairn.ports.provider import LoadedProvider, ProviderRegistry
from keycairn.ports.store import MOST, Store

_REFUSED = frozenset({Outcome.INVALID_AUTH, Outcome.NO_PERMISSION})


class KeyCalls:
    """Opens what a rotation needs for one call, and lets it go after it."""

    def __init__(self, store: Store, vault: Vault, registry: ProviderRegistry, http: Http) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._http = http

    def management(self, provider: str) -> KeyManagement:
        """What the provider declares; for one that does not, that a person does everything.

        Raises UnknownProviderError; InvalidInputError where the provider's accounts have no key.
        """
        spec = self._registry.get(provider).spec
        if spec.key_management is not None:
            return spec.key_management
        return self._by_hand(spec)

    def knows(self, rotation: KeyRotation) -> bool:
        """Whether the plugin of its provider is loaded."""
        try:
            self.management(rotation.provider)
        except KeycairnError:
            return False
        return True

    def of(self, rotation: KeyRotation) -> KeyManagement:
        """As `management`; that a person does everything, where what the provider asks for was not given."""
        spec = self._provider(rotation).spec
        management = self.management(rotation.provider)
        try:
            management_spec(spec, management).check_complete({*rotation.settings, *rotation.sealed})
        except MissingFieldError:
            return replace(self._by_hand(spec), secrets=management.secrets, page=management.page)
        return management

    def _by_hand(self, spec: ProviderSpec) -> KeyManagement:
        if not spec.secrets:
            raise InvalidInputError(f"Accounts of {spec.label} have no key.")
        names = [field.name for field in spec.secrets]
        names.sort(key=lambda name: name != "api_key")
        return KeyManagement(
            creation=KeyCreation.BY_PERSON, secrets=tuple(names), revokes=False, lists=False, page=spec.docs_url
        )

    async def keys(self, rotation: KeyRotation, credential: Credential | None) -> Sequence[ListedKey]:
        """All keys there are. Raises ProviderError, UndecryptableError, EgressRefusedError."""
        if not self.of(rotation).lists:
            return ()
        return await self._provider(rotation).list_keys(self._manager(rotation, credential), self._http)

    async def make(self, rotation: KeyRotation, credential: Credential, order: KeyOrder) -> MadeKey:
        """A new key. Raises as `keys`."""
        return await self._provider(rotation).create_key(self._manager(rotation, credential), order, self._http)

    async def revoke(self, rotation: KeyRotation, credential: Credential | None, key: KeyRef) -> None:
        """Revoke a key, which goes only to where it might when the rotation began. Raises as `keys`."""
        if rotation.run is not None:
            key = replace(key, origins=frozenset(rotation.run.key_origins))
        await self._provider(rotation).revoke_key(self._manager(rotation, credential), key, self._http)

    async def proves(self, rotation: KeyRotation, credential: Credential, *, call: bool) -> None:
        """See that the new key works; with `call` also by a call of a model. Raises ProviderError where it does not."""
        run = _run(rotation)
        opened = self._account(rotation, credential, self.kept(rotation, NEW), run.new_settings)
        provider = self._provider(rotation)
        report = await provider.check(opened, self._http)
        if not report.success:
            raise ProviderError(report.message)
        if call:
            await self._called(provider, opened, credential)

    async def is_dead(self, rotation: KeyRotation, credential: Credential | None) -> bool:
        """Whether the provider refuses the former key. Without the account nobody can ask, so its word is taken.

        Raises ProviderError where that cannot be told.
        """
        former = self.kept(rotation, OLD)
        if credential is None or not former:
            return True
        try:
            report = await self._provider(rotation).check(self._account(rotation, credential, former, {}), self._http)
        except (InvalidAuthError, NoPermissionError):
            return True
        except InvalidInputError:  # its URL was changed, so nobody can ask where it was for
            return True
        return report.outcome in _REFUSED and not report.proven

    def managers(self, rotation: KeyRotation) -> dict[str, Secret]:
        """The secrets that manage keys. Raises UndecryptableError."""
        spec = self._provider(rotation).spec
        return {
            name: self._vault.cipher.open(text, seal_context(spec, rotation, name), retired=True)
            for name, text in rotation.sealed.items()
            if "." not in name
        }

    def kept(self, rotation: KeyRotation, which: str) -> dict[str, Secret]:
        """The new (`new.`) or the former (`old.`) key, as the rotation keeps it. Raises UndecryptableError."""
        spec = self._provider(rotation).spec
        return {
            name.removeprefix(which): self._vault.cipher.open(text, seal_context(spec, rotation, name), retired=True)
            for name, text in rotation.sealed.items()
            if name.startswith(which)
        }

    def sealed(self, rotation: KeyRotation, secrets: Mapping[str, Secret], which: str = "") -> dict[str, SealedSecret]:
        """Secrets as the rotation keeps them. Raises InvalidInputError for one that is too long, or bound nowhere."""
        spec = self._provider(rotation).spec
        named = {which + name: secret for name, secret in secrets.items()}
        return {name: self._vault.cipher.seal(one, seal_context(spec, rotation, name)) for name, one in named.items()}

    def key_of(self, credential: Credential) -> dict[str, Secret]:
        """The secrets of a credential that are its key. Raises UndecryptableError."""
        spec = self._registry.get(credential.provider).spec
        names = self.management(credential.provider).secrets
        return {
            name: self._vault.cipher.open(text, of_credential(spec, credential, name), retired=True)
            for name, text in credential.sealed.items()
            if name in names
        }

    def places(self, credential: Credential) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Where each secret of the credential's key may go."""
        spec = self._registry.get(credential.provider).spec
        names = [name for name in self.management(credential.provider).secrets if name in credential.sealed]
        return tuple((name, destinations(spec, credential.settings, name)) for name in names)

    def target(self, credential: Credential) -> Target:
        """Where the credential's calls go. Raises UrlRefusedError."""
        return target(self._registry.get(credential.provider).spec, credential)

    def key_origins(self, rotation: KeyRotation, credential: Credential) -> tuple[str, ...]:
        """Where the credential's key may be sent to when keys are managed. Raises UrlRefusedError."""
        spec, management = self._provider(rotation).spec, self.management(rotation.provider)
        settings, confirmed = self._settings(rotation, credential), self._confirmed(rotation, credential)
        return tuple(sorted(key_origins(spec, management, settings, confirmed)))

    def strange_origins(self, rotation: KeyRotation, credential: Credential) -> frozenset[str]:
        """The origins that manage keys, and were not given the credential's key. Raises UrlRefusedError."""
        spec, management = self._provider(rotation).spec, self.management(rotation.provider)
        settings, confirmed = self._settings(rotation, credential), self._confirmed(rotation, credential)
        return strange_origins(spec, management, settings, confirmed)

    def asks_provider(self, rotation: KeyRotation) -> bool:
        """Whether keys are managed at the provider's own hosts, and at none that somebody chose."""
        spec, management = self._provider(rotation).spec, self.management(rotation.provider)
        return all(map(partial(is_providers, spec, management), self.managing_origins(rotation)))

    def managing_origins(self, rotation: KeyRotation) -> frozenset[str]:
        """The origins that manage keys. Raises UrlRefusedError."""
        return allowed_origins(self.management(rotation.provider), self._settings(rotation, None))

    def fingerprint(self, credential: Credential) -> str:
        """Of the credential's key. Raises UndecryptableError; InvalidInputError where it has none."""
        name = next((one for one in self.management(credential.provider).secrets if one in credential.sealed), "")
        if found := credential.fingerprints.get(name):
            return found
        key = self.key_of(credential).get(name)
        if key is None:
            raise InvalidInputError("The credential holds no key that could be rotated.")
        return self._vault.fingerprint(credential.workspace, key)

    async def holders(self, secrets: Collection[Secret]) -> list[Credential]:
        """The credentials of all workspaces that hold one of these; none is opened, their fingerprints tell."""
        found: list[Credential] = []
        marks: dict[str, frozenset[str]] = {}
        after: CredentialId | None = None
        while secrets and (page := await self._store.all_credentials(after=after, limit=MOST)):
            after = page[-1].id
            for one in page:
                place = one.workspace
                if place not in marks:
                    marks[place] = frozenset(self._vault.fingerprint(place, secret) for secret in secrets)
                if not marks[place].isdisjoint(one.fingerprints.values()):
                    found.append(one)
        return found

    def _provider(self, rotation: KeyRotation) -> LoadedProvider:
        return self._registry.get(rotation.provider)

    def _settings(self, rotation: KeyRotation, credential: Credential | None) -> dict[str, SettingValue]:
        spec = self._provider(rotation).spec
        own = spec.effective(credential.settings) if credential is not None else {}
        return {**own, **management_spec(spec, self.management(rotation.provider)).effective(rotation.settings)}

    def _confirmed(self, rotation: KeyRotation, credential: Credential) -> tuple[str, ...]:
        """The origins that the very key of the credential was given for."""
        names = self.management(rotation.provider).secrets
        marks = [credential.fingerprints.get(name) for name in names if name in credential.sealed]
        return rotation.confirmed if marks[:1] == [rotation.fingerprint] else ()

    def _manager(self, rotation: KeyRotation, credential: Credential | None) -> Account:
        own: dict[str, Secret] = {}
        if credential is not None:
            if self.strange_origins(rotation, credential):
                raise InvalidInputError(UNBOUND)
            own = self.key_of(credential)
        return Account(
            provider=rotation.provider,
            settings=self._settings(rotation, credential),
            secrets={**own, **self.managers(rotation)},
            workspace=rotation.workspace,
            credential=rotation.id,  # tokens that are bought with it are its own
            version=rotation.created.toordinal(),
            confirmed=frozenset() if credential is None else frozenset(self._confirmed(rotation, credential)),
        )

    def _account(
        self,
        rotation: KeyRotation,
        credential: Credential,
        key: Mapping[str, Secret],
        settings: Mapping[str, SettingValue],
    ) -> Account:
        """The credential's account with another key. Raises UndecryptableError, InvalidInputError."""
        spec = self._provider(rotation).spec
        changed = replace(credential, settings={**credential.settings, **settings})
        self._check_places(spec, rotation, credential, changed)
        others = {
            name: self._vault.cipher.open(text, of_credential(spec, credential, name), retired=True)
            for name, text in credential.sealed.items()
            if name not in key
        }
        # another id than the credential's, so that no token bought with one key is taken for the other's
        opened = account(spec, changed, {**others, **key})
        return replace(opened, credential=f"{rotation.id}/{rotation.version}")

    def _check_places(
        self, spec: ProviderSpec, rotation: KeyRotation, credential: Credential, changed: Credential
    ) -> None:
        bound = _run(rotation).bound
        if bound is not None and (target(spec, credential) != bound or target(spec, changed) != bound):
            raise InvalidInputError("The account leads elsewhere by now: the key that is kept here is for the former.")
        for name, places in _run(rotation).destinations:
            if destinations(spec, credential.settings, name) != places:
                raise InvalidInputError(
                    "The credential's URL was changed: the key that is kept here is for the former."
                )

    async def _called(self, provider: LoadedProvider, opened: Account, credential: Credential) -> None:
        models = await self._store.models(credential.workspace, credential=credential.id, limit=MOST)
        kinds = (Modality.EMBEDDING, Modality.LANGUAGE)
        model = next((one for kind in kinds for one in models if one.type is kind and one.missing_since is None), None)
        if model is None:
            return
        try:
            await provider.try_model(opened, model.own_name, model.type, self._http)
        except (InvalidAuthError, NoPermissionError):
            raise
        except ProviderError:
            return  # of the model, and nothing of the key


def _run(rotation: KeyRotation) -> Run:
    if rotation.run is None:
        raise AssertionError("no rotation is under way")
    return rotation.run
