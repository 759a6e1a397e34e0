"""Instances of Keycairn on one database, with the real cipher."""

from collections.abc import AsyncIterator
from pathlib import Path

from tests.fakes import FakeClock, FakeEnvironment
from tests.house import FakeProvider, FakeRegistry, NoHttp, plain_spec

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.ids import UlidIds
from keycairn.app.keycairn import Keycairn
from keycairn.domain.ids import CredentialId
from keycairn.domain.incoming import IncomingCredential
from keycairn.domain.keyset import KeyState
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.secret import Secret
from keycairn.ports.store import Store

ROOT = parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="))
NEXT = parse_root_key(Secret("base64:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7gA="))


async def instance(store: Store, *, root_key: RootKey = ROOT, backup_dir: Path | None = None) -> Keycairn:
    """One more instance on the database of `store`, open."""
    keycairn = Keycairn(
        store=store,
        opener=AesGcmKeysets(),
        registry=FakeRegistry([FakeProvider(plain_spec("openai")), FakeProvider(plain_spec("anthropic"))]),
        http=NoHttp(),
        environment=FakeEnvironment({"ANTHROPIC_API_KEY": "sk-environment"}),
        clock=FakeClock(step=0.001),
        ids=UlidIds(),
        backup_dir=backup_dir,
    )
    assert await keycairn.vault.unlock(root_key), keycairn.vault.why_sealed
    return keycairn


async def add(keycairn: Keycairn, name: str = "one", key: str = "sk-1") -> CredentialId:
    made = await keycairn.credentials.create("openai", name=name, secrets={"api_key": Secret(key)})
    return made.credential.id


async def key_of(keycairn: Keycairn, id: CredentialId) -> str:
    listed = await keycairn.credentials.get(id)
    assert listed.broken == {}
    return (await keycairn.credential_opener.open(listed.credential)).secrets["api_key"].reveal()


class Arriving:
    """An import source of one row."""

    label = "one row"

    def __init__(self, id: str, key: str) -> None:
        self._row = IncomingCredential(
            where="row 1", id=id, provider="openai", name="arrived", secrets={"api_key": Secret(key)}
        )

    async def rows(self) -> AsyncIterator[IncomingCredential]:
        yield self._row


async def check_all(keycairn: Keycairn, expected: dict[str, str]) -> None:
    listed = [item.credential for item in await keycairn.credentials.list()]
    assert {each.name: await key_of(keycairn, each.id) for each in listed} == expected
    status = await keycairn.rotation.status()
    assert (status.quarantined, status.pending) == ((), 0)
    assert all(status.keys[kid] is not KeyState.RETIRED for kid in status.secrets)
    assert (await keycairn.audit.verify()).intact
