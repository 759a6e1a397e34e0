"""Databases to tamper with: filled by Keycairn, closed, then written to by somebody else, on every lasting engine."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tests.samples import THEN, a_check, a_credential, a_key_rotation, a_model, a_token, a_usage_key, an_event
from tests.servers.surreal_rpc import surreal_rpc

from keycairn.adapters.surreal.embedded import EmbeddedConnection
from keycairn.adapters.surreal.remote import RemoteConnection
from keycairn.app.keycairn import Keycairn
from keycairn.app.settings import Settings
from keycairn.app.wiring import keyset_opener, open_keycairn, open_store
from keycairn.domain.audit import IN_PROCESS, Action, Head, chained
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    AddUsage,
    Append,
    Change,
    PutDefaults,
    PutKeyRotation,
    PutKeyset,
    PutToken,
    RecordCheck,
    RecordUse,
)
from keycairn.domain.draft import Draft
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.limits import Limits
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.options import Options
from keycairn.domain.price import Price
from keycairn.domain.reach import Reach
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.state import CURRENT
from keycairn.domain.token import Scope
from keycairn.domain.usage import Usage

ROOT_KEY = parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="))
OPENER = keyset_opener()
RECORDS = 24
"""Of each kind: enough for one to be altered for each of its columns."""
WORKSPACES = [f"w{number:02}" for number in range(8)]

Row = dict[str, Any]


class Place:
    """A database, Keycairn's settings for it, and a way to write to it behind Keycairn's back."""

    def __init__(self, settings: Settings, run: Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]) -> None:
        self.settings = settings
        self._run = run

    async def run(self, text: str, **variables: Any) -> Any:
        """The result of the last statement."""
        return (await self._run(text, variables))[-1]

    async def rows(self, table: str) -> list[Row]:
        """Every row of a table."""
        found: list[Row] = await self.run(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608  # a test's own table
        return found

    async def put(self, row: Row, **columns: Any) -> None:
        """Overwrite columns of a row; None takes one away."""
        names = ", ".join(f"{name} = $c_{name}" for name in columns)
        values = {f"c_{name}": value for name, value in columns.items()}
        await self.run(f"UPDATE $id SET {names}", id=row["id"], **values)  # noqa: S608  # a test's own columns

    def open(self) -> Any:
        """A start of Keycairn on it."""
        return open_keycairn(self.settings)


Fill = Callable[[Settings], Awaitable[None]]


async def filled(settings: Settings) -> None:
    """Fill a database by Keycairn."""
    async with open_keycairn(settings) as kc:
        await _fill(kc)


async def filled_before(settings: Settings) -> None:
    """Fill a database as a Keycairn did that knew no proofs: neither its keyset nor its events tell of any."""
    keys = OPENER.open(OPENER.create(ROOT_KEY, THEN, proves=False), ROOT_KEY)

    def link(draft: Draft) -> None:
        head = draft.get(Head, CURRENT)
        for event in draft.appended:
            linked = replace(event, seq=head.seq + 1 if head else 1)
            head = Head(linked.seq, keys.audit_mac(chained(linked, head)))
            draft.put(replace(linked, mac=head.mac))
        if head is not None:
            draft.put(head)

    store = await open_store(settings)
    try:
        await store.commit((PutKeyset(keys.record, expected=0), Append(an_event())), link)
        await store.commit((*everything(), Append(an_event())), link)
    finally:
        await store.aclose()


@asynccontextmanager
async def a_place(engine: str, folder: Path, fill: Fill = filled) -> AsyncIterator[Place]:
    """A filled database of `engine` (`surrealkv` or `ws`), closed."""
    if engine == "surrealkv":
        settings = Settings(data_dir=folder, root_key=ROOT_KEY, external_plugins=False)

        async def run(text: str, variables: Mapping[str, Any]) -> list[Any]:
            connection = await EmbeddedConnection.open(settings.store_url, namespace="keycairn", database="keycairn")
            try:
                return await connection.query(text, variables)
            finally:
                await connection.close()

        await fill(settings)
        yield Place(settings, run)
        return
    async with surreal_rpc() as server:
        settings = Settings(data_dir=folder, root_key=ROOT_KEY, external_plugins=False, database_url=server.url)
        await fill(settings)
        remote = RemoteConnection(
            server.url, namespace="keycairn", database="keycairn", user=None, password=None, deadline=10
        )
        try:
            yield Place(settings, remote.query)
        finally:
            await remote.close()


def everything() -> list[Change]:
    """Records of every kind, with something in every column."""
    changes: list[Change] = []
    for number in range(RECORDS):
        credential = a_credential(
            id=CredentialId(f"credential:C{number:03}"),
            name=f"account {number}",
            fingerprints={"api_key": f"{number:064x}"},
            limits=Limits(concurrent=3),
            options=Options(any_model=True),
            extra={"note": "kept"},
        )
        token = a_token(
            id=f"token:T{number:03}",
            mac=f"{number:064x}",
            expires=THEN + timedelta(days=36500),
            revoked=THEN if number % 2 else None,
            limits=Limits(requests_per_minute=9),
            reach=Reach(providers=("openai",), models=("gpt*",)),
            maker="token:T000" if number else None,
        )
        model = a_model(
            id=ModelId(f"model:M{number:03}"),
            name=f"gpt-{number}",
            credential=credential.id,
            priority=2,
            weight=3,
            provider_model="gpt",
            price=Price(input=2.5, output=10.0),
            context_length=128_000,
            missing_since=THEN,
        )
        changes += [AddCredential(credential), PutToken(token), AddModel(model)]
        changes.append(PutKeyRotation(a_key_rotation(credential.id), expected=0))
        changes += [RecordCheck("default", credential.id, a_check()), RecordUse(token.id, THEN)]
    for number, name in enumerate(WORKSPACES):
        chosen = a_model(id=ModelId(f"model:W{number:03}"), name="chosen", workspace=name)
        defaults = Defaults(workspace=name, slots={Slot.CHAT: chosen.id}, version=1)
        changes += [AddModel(chosen), PutDefaults(defaults, expected=0)]
    changes.append(AddUsage(a_usage_key(), Usage(requests=1, last_used=THEN)))
    return changes


async def _fill(kc: Keycairn) -> None:
    """Put everything there, in a few commits."""
    await kc.journal.commit((*everything(), kc.journal.event(IN_PROCESS, Action.STORE_REPAIRED, "database")))
    for number in range(8):
        await kc.tokens.create(f"later {number}", (Scope.INVOKE,))
