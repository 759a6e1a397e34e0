"""Nobody whose reach is bounded takes the calls of a name that is served by what is out of it, whichever way he tries.

Each way is tried by a bounded caller, after which everything is served as before, and by one who reaches all, to whom
it is given: so it is a way.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import product

import pytest
from tests.house import LANGUAGE, FakeProvider, House, plain_spec
from tests.nights import by_day

from keycairn.app.gateway.directory import Directory
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.models import ModelPatch, NewModel
from keycairn.domain.audit import IN_PROCESS, Caller
from keycairn.domain.credential import Credential
from keycairn.domain.errors import KeycairnError, ModelNotFoundError, OutOfReachError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.options import Options
from keycairn.domain.outcome import DiscoveredModel, Discovery
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret

THEIRS = ("chat", "loose", "talk", "pool", "openai/front", "old-chat")
"""Names that are served by the accounts of others."""


class Street:
    """Accounts of others, which serve `THEIRS` and any model of OpenAI, and two of one's own, of two providers."""

    def __init__(self, house: House, kc: Keycairn) -> None:
        self.house, self.kc = house, kc
        self.openai: Credential
        self.groq: Credential
        self.spare: Credential

    async def build(self) -> None:
        theirs = await self.account("openai", "theirs", any_model=True)
        other = await self.account("groq", "others")
        await self.model(theirs, "chat")
        await self.model(theirs, "old-chat")
        await self.kc.models.create("loose", provider="openai", type=LANGUAGE)
        await self.model(other, "talk")
        await self.model(other, "pool", "llama")
        await self.model(other, "openai/front")
        self.openai = await self.account("openai", "mine")
        self.groq = await self.account("groq", "mine too")
        self.spare = await self.account("groq", "mine as well")

    async def account(self, provider: str, name: str, *, any_model: bool = False) -> Credential:
        secrets, options = (
            {"api_key": Secret(f"sk-{name.replace(' ', '')}-canary-0123456789")},
            Options(any_model=any_model),
        )
        made = await self.kc.credentials.create(provider, name=name, secrets=secrets, options=options)
        return made.credential

    async def model(
        self, of: Credential, name: str, own: str | None = None, by: Caller = IN_PROCESS, *, priority: int = 0
    ) -> ModelId:
        made = await self.kc.models.create(
            name,
            provider=of.provider,
            type=LANGUAGE,
            provider_model=own,
            credential=of.id,
            priority=priority,
            by=by,
        )
        return made.id

    @property
    def mine(self) -> Caller:
        reach = Reach(credentials=(self.openai.id, self.groq.id, self.spare.id))
        return Caller(actor="token:mine", source="", reach=reach)

    async def served(self) -> dict[str, list[tuple[CredentialId, int, int]]]:
        """Who serves what everybody may call, in which share."""
        directory = Directory(self.kc.store, self.kc.tokens, self.kc.clock)
        found = {}
        names = [*THEIRS, *(f"{provider}/{name}" for provider, name in product(("openai", "groq", "OpenAI"), THEIRS))]
        for name in (*names, "openai/never-registered"):
            try:
                rows = await directory.serving("default", name, LANGUAGE)
            except ModelNotFoundError:
                continue  # nobody's, so anybody may give it
            shares = [(row.model.priority, row.model.weight) if row.model else (0, 0) for row in rows]
            found[name] = sorted((row.credential.id, *share) for row, share in zip(rows, shares, strict=True))
        return found


Way = Callable[[Street, Caller], Awaitable[object]]


def registers(of: str, name: str, own: str | None = None) -> Way:
    return lambda street, by: street.model(getattr(street, of), name, own, by)


def joins(of: str, name: str) -> Way:
    return lambda street, by: street.kc.probing.register(getattr(street, of).id, [NewModel(name, LANGUAGE)], by=by)


def becomes(of: str, patch: ModelPatch, name: str, own: str | None = None) -> Way:
    async def way(street: Street, by: Caller) -> None:
        id = await street.model(getattr(street, of), name, own)
        await street.kc.models.update(id, patch, by=by)

    return way


async def takes_any(street: Street, by: Caller) -> None:
    await street.kc.credentials.update(street.openai.id, CredentialPatch(options=Options(any_model=True)), by=by)


async def takes_other_kinds(street: Street, by: Caller) -> None:
    patch = CredentialPatch(options=Options(any_model=True), modalities=(Modality.EMBEDDING,))
    await street.kc.credentials.update(street.openai.id, patch)
    await street.kc.credentials.update(street.openai.id, CredentialPatch(modalities=(LANGUAGE,)), by=by)


async def creates_one_that_takes_any(street: Street, by: Caller) -> None:
    secrets, options = {"api_key": Secret("sk-a-fourth-canary-0123456789")}, Options(any_model=True)
    await street.kc.credentials.create("openai", name="Fourth", secrets=secrets, options=options, by=by)


async def syncs(street: Street, by: Caller) -> None:
    names = ("chat", "talk", "pool", "loose", "front", "never-registered", "own-one")
    found = Discovery(models=tuple(DiscoveredModel(name=name, type=LANGUAGE) for name in names))
    await street.kc.probing._registration.apply(street.openai, found, by)


MODELS_ONLY = Reach(models=("openai/own*",))
NEW_ACCOUNT = "by a new account that takes any"
WAYS: dict[str, Way] = {
    "the same name and provider": registers("openai", "chat"),
    "the same name, another provider": registers("groq", "chat"),
    "the same name, a provider that comes first": registers("openai", "talk"),
    "a pool of that name": registers("groq", "chat", "llama"),
    "into a pool": registers("groq", "pool", "llama-2"),
    "a name with the provider in front": registers("groq", "openai/chat", "llama"),
    "its provider in other letters": registers("groq", "OpenAI/chat", "llama"),
    "what others named so": registers("openai", "front"),
    "the name of one that nobody linked": registers("openai", "loose"),
    "a name that an account takes as any": registers("openai", "never-registered"),
    "such a name, as a name of ours": registers("groq", "openai/never-registered", "llama"),
    "such a name, as another provider's": registers("groq", "openai/never-registered"),
    "by registering what was found": joins("openai", "chat"),
    "by linking what nobody linked": joins("openai", "loose"),
    "by registering another provider's": joins("openai", "talk"),
    "by registering any": joins("openai", "never-registered"),
    "by a new name": becomes("openai", ModelPatch(name="chat"), "own-a"),
    "by leaving a pool": becomes("openai", ModelPatch(provider_model=None), "own-b", "chat"),
    "by beginning a pool": becomes("groq", ModelPatch(name="openai/chat", provider_model="llama"), "own-c"),
    "by taking any model": takes_any,
    "by taking other kinds of any model": takes_other_kinds,
    NEW_ACCOUNT: creates_one_that_takes_any,
    "by bringing its list up to date": syncs,
}


@pytest.fixture
async def street() -> Street:
    house = House()
    house.registry.load(FakeProvider(plain_spec("groq")))
    made = Street(house, await house.open())
    await made.build()
    return made


async def test_no_way_leads_a_bounded_caller_to_the_calls_of_others(street: Street) -> None:
    before = await street.served()
    for name, way in WAYS.items():
        by = Caller(actor="token:mine", source="", reach=MODELS_ONLY) if name == NEW_ACCOUNT else street.mine
        with suppress(OutOfReachError):
            await way(street, by)
        after = await street.served()
        assert {called: after[called] for called in before} == before, name


@pytest.mark.parametrize("way", by_day([*WAYS], one_in=8))
async def test_each_of_them_is_a_way_of_who_reaches_all(street: Street, way: str) -> None:
    before = await street.served()
    await WAYS[way](street, IN_PROCESS)
    assert await street.served() != before


@pytest.mark.parametrize("change", [ModelPatch(weight=7), ModelPatch(priority=0)], ids=["weight", "priority"])
async def test_a_share_of_a_name_grows_by_who_reaches_all_of_it_only(street: Street, change: ModelPatch) -> None:
    id = await street.model(street.groq, "pool", "llama", priority=1)
    with pytest.raises(OutOfReachError):
        await street.kc.models.update(id, change, by=street.mine)
    await street.kc.models.update(id, ModelPatch(weight=0, priority=9), by=street.mine)


async def test_what_concerns_nobody_else_is_free(street: Street) -> None:
    id = await street.model(street.groq, "own", by=street.mine)
    await street.model(street.spare, "own", "llama-3", by=street.mine)
    await street.kc.models.update(id, ModelPatch(weight=5, name="own-2"), by=street.mine)
    options = Options(any_model=True)
    await street.kc.credentials.update(street.groq.id, CredentialPatch(options=options), by=street.mine)
    done = await street.kc.probing.register(street.groq.id, [NewModel("own-3", LANGUAGE)], by=street.mine)
    assert len(done.created) == 1
    gone = await street.kc.credentials.delete(street.groq.id, migrate_to=street.spare.id, by=street.mine)
    assert {model.name for model in gone.moved} == {"own-2", "own-3"}


async def test_models_of_a_shared_name_are_moved_by_who_reaches_all_of_it_only(street: Street) -> None:
    await street.model(street.groq, "talk")
    with pytest.raises(OutOfReachError):
        await street.kc.credentials.delete(street.groq.id, migrate_to=street.spare.id, by=street.mine)
    await street.kc.credentials.delete(street.groq.id, migrate_to=street.spare.id)


async def test_bringing_a_list_up_to_date_leaves_out_what_others_serve(street: Street) -> None:
    names = ("chat", "own-one")
    found = Discovery(models=tuple(DiscoveredModel(name=name, type=LANGUAGE) for name in names))
    with pytest.raises(KeycairnError):
        await street.kc.probing.register(street.openai.id, [NewModel(name, LANGUAGE) for name in names], by=street.mine)
    drift, left_out = await street.kc.probing._registration.apply(street.spare, found, street.mine)
    assert ([model.name for model in drift.new], left_out) == (["own-one"], 1)


async def test_a_token_of_certain_models_registers_no_others(street: Street) -> None:
    by = Caller(actor="token:mine", source="", reach=Reach(models=("own*",)))
    with pytest.raises(OutOfReachError):
        await street.kc.probing.register(street.spare.id, [NewModel("some-other", LANGUAGE)], by=by)
    await street.kc.probing.register(street.spare.id, [NewModel("own-4", LANGUAGE)], by=by)
