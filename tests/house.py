"""A whole Keycairn on fakes: the memory store, a transparent cipher, providers that answer as they are told."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256, shake_256
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tests.fakes import NOON, FakeCipher, FakeClock, FakeEnvironment, FakeIds

from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.adapters.imports.legacy import LegacyConfig
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.domain.errors import InvalidInputError, UnknownProviderError, WrongRootKeyError
from keycairn.domain.ids import CredentialId
from keycairn.domain.keyset import Keyset, KeyState
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, ModelReport, Outcome
from keycairn.domain.provider import Account, FieldKind, FieldSpec, ProviderSpec, canonical_name
from keycairn.domain.rootkey import RootKey, RootKeyForm
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.plugins.loaded import loaded
from keycairn.ports.http import Http, Request, Response
from keycairn.ports.keyset import KeysetOpener, OpenKeyset
from keycairn.ports.provider import LoadedProvider, PluginStatus, Provider
from keycairn.ports.store import Store
from keycairn.ports.upstream import Upstream

ROOT_KEY = RootKey(RootKeyForm.PASSPHRASE, Secret("correct horse battery staple"))
LANGUAGE, EMBEDDING = Modality.LANGUAGE, Modality.EMBEDDING


class FakeOpenKeyset:
    """Keys that are readable, so that tests see what they are used for. It never changes but to say that it proves."""

    slot = "slot-1"

    def __init__(self, record: Keyset) -> None:
        self.record = record
        self.install_id = record.install_id
        self.cipher = FakeCipher(install_id=record.install_id)

    def record_mac(self, text: bytes, kid: int) -> bytes | None:
        return shake_256(b"%d" % kid + self.install_id.encode() + text).digest(56) if kid in self.record.keys else None

    def state_mac(self, text: bytes) -> bytes:
        return sha256(b"sum" + self.install_id.encode() + text).digest()

    def with_proofs(self) -> OpenKeyset:
        return FakeOpenKeyset(replace(self.record, generation=self.record.generation + 1, proves=True))

    def with_new_key(self) -> OpenKeyset:
        raise InvalidInputError("The fake does not rotate; take AesGcmKeysets.")

    def with_key_state(self, kid: int, state: KeyState) -> OpenKeyset:
        raise InvalidInputError("The fake does not rotate; take AesGcmKeysets.")

    def without_key(self, kid: int) -> OpenKeyset:
        raise InvalidInputError("The fake does not rotate; take AesGcmKeysets.")

    def following(self, later: Keyset) -> OpenKeyset:
        return FakeOpenKeyset(later)

    def with_slot(self, root_key: RootKey) -> OpenKeyset:
        raise AssertionError("the fake has no slots; take AesGcmKeysets")

    def without_slot(self, slot_id: str) -> OpenKeyset:
        raise AssertionError("the fake has no slots; take AesGcmKeysets")

    def token_mac(self, text: bytes) -> str:
        return sha256(self.install_id.encode() + text).hexdigest()

    def audit_mac(self, text: bytes) -> str:
        return sha256(b"audit" + self.install_id.encode() + text).hexdigest()

    def session_mac(self, text: bytes) -> str:
        return sha256(b"session" + self.install_id.encode() + text).hexdigest()

    def fingerprint_mac(self, text: bytes) -> str:
        return sha256(b"fingerprint" + self.install_id.encode() + text).hexdigest()

    def seal_cursor(self, text: bytes, place: bytes) -> bytes:
        return sha256(self.install_id.encode() + place + text).digest() + text

    def open_cursor(self, sealed: bytes, place: bytes) -> bytes | None:
        text = sealed[32:]
        return text if self.seal_cursor(text, place) == sealed else None


class FakeKeysets:
    """Opens with `key` only."""

    def __init__(self, key: RootKey = ROOT_KEY) -> None:
        self.key = key

    def create(self, root_key: RootKey, now: datetime, *, proves: bool = True) -> Keyset:
        return Keyset(
            install_id="install", generation=1, keys={1: KeyState.PRIMARY}, slots=(), created=now, proves=proves
        )

    def open(self, keyset: Keyset, root_key: RootKey) -> OpenKeyset:
        if root_key.material != self.key.material:
            raise WrongRootKeyError([slot.slot_id for slot in keyset.slots])
        return FakeOpenKeyset(keyset)


class NoHttp:
    """Vets by form only, and sends nothing."""

    def __init__(self) -> None:
        self.tokens = MemoryTokenCache()

    def vet(self, url: str, *, field: str | None = None) -> None:
        parse_url(url, field=field)

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        raise AssertionError("no test provider sends anything")


class FakeProvider:
    """Answers what `models`, `report` and `error` say, and remembers the accounts it was called with."""

    client_name = "fake"

    def __init__(self, spec: ProviderSpec) -> None:
        self.spec = replace(spec, key_management=None)  # see `tests.key_cloud` for one that manages keys
        self.models: tuple[DiscoveredModel, ...] = ()
        self.failure: str | None = None
        self.report = ConnectionReport(outcome=Outcome.OK, message="The key works.")
        self.error: Exception | None = None
        self.error_for: Mapping[str, Exception] = {}
        """What is raised for the account with that key."""
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What happens while a check is under way."""
        self.keys: list[str] = []

    def _called(self, account: Account) -> None:
        secret = account.secret()
        self.keys.append(secret.reveal() if secret else "")
        if error := self.error_for.get(self.keys[-1], self.error):
            raise error

    async def discover(self, account: Account, http: Http) -> Discovery:
        self._called(account)
        return Discovery(models=self.models, failure=self.failure)

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        self._called(account)
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.report

    async def try_model(self, account: Account, name: str, type: Modality, http: Http) -> ModelReport:
        self._called(account)
        return ModelReport(outcome=Outcome.OK, message=f"{name} answered.", details=str(type))

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        return request.with_header("Authorization", account.secrets["api_key"])

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        return account.text("base_url")

    def anthropic_base_url(self, account: Account) -> str:
        return account.text("base_url")

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, str | int]:
        return {**account.settings, **{name: secret.reveal() for name, secret in account.secrets.items()}}


class FakeRegistry:
    def __init__(self, providers: Sequence[Provider]) -> None:
        self.providers = {provider.spec.name: loaded(provider) for provider in providers}

    def load(self, provider: Provider) -> None:
        """Load a provider, again after its spec was changed."""
        self.providers[provider.spec.name] = loaded(provider)

    def get(self, name: str) -> LoadedProvider:
        try:
            return self.providers[canonical_name(name)]
        except KeyError:
            raise UnknownProviderError from None

    def all(self) -> Sequence[LoadedProvider]:
        return list(self.providers.values())

    def plugins(self) -> Sequence[PluginStatus]:
        return [PluginStatus(name="fakes", origin="tests", providers=tuple(self.providers), api_version=1)]


def plain_spec(name: str, **changes: object) -> ProviderSpec:
    fields = (
        FieldSpec(name="api_key", label="API key", secret=True, required=True, env=(f"{name.upper()}_API_KEY",)),
        FieldSpec(name="base_url", label="Base URL", kind=FieldKind.URL, env=(f"{name.upper()}_BASE_URL",)),
        FieldSpec(name="num_ctx", label="Context", kind=FieldKind.INTEGER),
    )
    defaults: dict[str, object] = {"label": name.title(), "modalities": (LANGUAGE, EMBEDDING), "fields": fields}
    return ProviderSpec(name=name, **{**defaults, **changes})  # type: ignore[arg-type]  # a test's short hand


class House:
    """A Keycairn and the fakes it stands on. `await house.open()` unlocks it."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        ids: FakeIds | None = None,
        admin_token: str | None = None,
        legacy: bool = False,
        backup_dir: Path | None = None,
        keysets: KeysetOpener | None = None,
        upstream: Upstream | None = None,
        clock: FakeClock | None = None,
        registry: FakeRegistry | None = None,
    ) -> None:
        self.openai = FakeProvider(plain_spec("openai", preferred_models=("gpt-4o",)))
        self.anthropic = FakeProvider(plain_spec("anthropic", modalities=(LANGUAGE,)))
        self.registry = registry or FakeRegistry([self.openai, self.anthropic])
        self.store: Store = store or MemoryStore()
        self.clock = clock or FakeClock(NOON, step=0.001)
        self.ids = ids or FakeIds()
        self.environment = FakeEnvironment()
        self.keysets: KeysetOpener = keysets or FakeKeysets()
        self.keycairn = Keycairn(
            store=self.store,
            opener=self.keysets,
            registry=self.registry,
            http=NoHttp(),
            environment=self.environment,
            clock=self.clock,
            ids=self.ids,
            admin_token=Secret(admin_token) if admin_token else None,
            legacy=self if legacy else None,
            backup_dir=backup_dir,
            upstream=upstream,
        )

    async def open(self, root_key: RootKey | None = ROOT_KEY) -> Keycairn:
        await self.keycairn.vault.unlock(root_key)
        return self.keycairn

    async def key_of(self, id: CredentialId) -> str:
        """The key of a credential, as a provider would be shown it."""
        credential = await self.store.credential("default", id)
        assert credential is not None
        return (await self.keycairn.credential_opener.open(credential)).secrets["api_key"].reveal()

    legacy_record: Mapping[str, Any] | None = None

    async def stored(self) -> Mapping[str, Any] | None:
        return self.legacy_record

    def source(self, document: Mapping[str, Any], passphrase: Secret | None) -> LegacyConfig:
        return LegacyConfig(document, passphrase)
