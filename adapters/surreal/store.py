"""The store on SurrealDB."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import date
from operator import itemgetter

from msgspec.structs import asdict

from keycairn.adapters.surreal.dialect import Dialect
from keycairn.adapters.surreal.records import (
    credential_of,
    defaults_of,
    event_of,
    head_of,
    keyset_of,
    model_of,
    place,
    record_id,
    token_of,
    usage_of,
)
from keycairn.adapters.surreal.session import Connection, Session
from keycairn.adapters.surreal.snapshot import all_records, read_moment, records_of
from keycairn.adapters.surreal.statements import HEAD, KEYSET, REVISION, transaction
from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter, Head
from keycairn.domain.change import Changeset
from keycairn.domain.credential import Credential
from keycairn.domain.errors import ConflictError
from keycairn.domain.ids import CredentialId, ModelId, TokenId, key_of
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.record import Record
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import MOST, Position

_CONDITIONS = {"since": "at >= $since", "until": "at < $until"}


class SurrealStore:
    """A `keycairn.ports.store.Store`. Made by `open_surreal`."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._session = Session(connection)
        self._read = self._session.read
        self._dialect = dialect

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """See `Store.credential`."""
        rows = await self._read(
            "SELECT * FROM $id WHERE workspace = $workspace", id=record_id("credential", id), workspace=workspace
        )
        return credential_of(rows[0]) if rows else None

    async def credentials(
        self, workspace: str, *, provider: str | None = None, after: Position | None = None, limit: int = MOST
    ) -> Sequence[Credential]:
        """See `Store.credentials`."""
        if after is None and await self._fits("credential", limit):
            rows = await self._read(
                "SELECT * FROM credential WITH NOINDEX WHERE workspace = $workspace", workspace=workspace
            )
            wanted = [row for row in rows if provider in {None, row["provider"]}]
            return [credential_of(row) for row in sorted(wanted, key=itemgetter("place"))]
        start = place(after.provider, after.created, after.id) if after else ""
        end = "\U0010ffff"
        if provider is not None:
            start, end = max(start, f"{provider}\t"), f"{provider}\n"
        rows = await self._read(
            "SELECT * FROM credential WITH INDEX credential_place "
            "WHERE workspace = $workspace AND place > $start AND place < $end ORDER BY place LIMIT $limit",
            workspace=workspace,
            start=start,
            end=end,
            limit=_page(limit),
        )
        return [credential_of(row) for row in rows]

    async def all_credentials(self, *, after: CredentialId | None = None, limit: int = MOST) -> Sequence[Credential]:
        """See `Store.all_credentials`."""
        rows = await self._read(
            f"SELECT * FROM {self._dialect.after('credential', '$after')} LIMIT $limit",  # noqa: S608  # our own table
            after=key_of(after or ""),
            limit=_page(limit),
        )
        return [credential_of(row) for row in rows]

    async def twins(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        """See `Store.twins`."""
        if not fingerprints:
            return []
        rows = await self._read(
            "SELECT * FROM credential WITH INDEX credential_prints "
            "WHERE prints CONTAINSANY $prints AND workspace = $workspace ORDER BY place LIMIT $limit",
            prints=sorted(fingerprints),
            workspace=workspace,
            limit=MOST,
        )
        return [credential_of(row) for row in rows]

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        """See `Store.model`."""
        rows = await self._read(
            "SELECT * FROM $id WHERE workspace = $workspace", id=record_id("model", id), workspace=workspace
        )
        return model_of(rows[0]) if rows else None

    async def models(
        self,
        workspace: str,
        *,
        type: Modality | None = None,
        provider: str | None = None,
        credential: CredentialId | None = None,
        name: str | None = None,
        after: ModelId | None = None,
        limit: int | None = MOST,
    ) -> Sequence[Model]:
        """See `Store.models`."""
        link = record_id("credential", credential) if credential is not None else None
        filters = {"workspace": workspace, "type": type, "provider": provider, "credential": link, "name": name}
        given = {column: value for column, value in filters.items() if value is not None}
        conditions = " AND ".join(f"{column} = ${column}" for column in given)
        if link is not None:  # few models of one account: by the index, then sorted
            source, order = "model", "ORDER BY id"
            conditions += " AND id > $after"
            given["after"] = record_id("model", after or "model:")
        else:  # many: in the order of their keys, up to the limit
            source, order = self._dialect.after("model", "$after"), ""
            given["after"] = key_of(after or "")
        page = "" if limit is None else "LIMIT $limit"
        text = f"SELECT * FROM {source} WHERE {conditions} {order} {page}"  # noqa: S608  # our own column names
        rows = await self._read(text, **given, limit=_page(limit or 0))
        return [model_of(row) for row in rows]

    async def model_counts(self, workspace: str) -> Mapping[CredentialId, int]:
        """See `Store.model_counts`.

        A scan is faster than the index, which leads to every record anyway. A view, which the database would keep up to
        date by itself, counts wrong after a restart: of several updates in one transaction only the first is replayed.
        """
        rows = await self._read(
            "SELECT holder, count() AS models FROM model WITH NOINDEX "
            "WHERE workspace = $workspace AND holder != '' GROUP BY holder",
            workspace=workspace,
        )
        return {CredentialId(f"credential:{row['holder']}"): row["models"] for row in rows}

    async def unlinked_models(self, workspace: str, provider: str) -> Sequence[Model]:
        """See `Store.unlinked_models`."""
        rows = await self._read(
            "SELECT * FROM model WHERE workspace = $workspace AND provider = $provider AND holder = '' ORDER BY id",
            workspace=workspace,
            provider=provider,
        )
        return [model_of(row) for row in rows]

    async def providers_in_use(self, workspace: str) -> frozenset[str]:
        """See `Store.providers_in_use`."""
        rows = await self._read(
            "SELECT provider FROM credential WHERE workspace = $workspace GROUP BY provider", workspace=workspace
        )
        return frozenset(row["provider"] for row in rows)

    async def defaults(self, workspace: str) -> Defaults:
        """See `Store.defaults`."""
        rows = await self._read("SELECT * FROM $id", id=record_id("defaults", f"defaults:{workspace}"))
        return defaults_of(rows[0]) if rows else Defaults(workspace=workspace)

    async def keyset(self) -> Keyset | None:
        """See `Store.keyset`."""
        rows = await self._read("SELECT * FROM $id", id=KEYSET)
        return keyset_of(rows[0]) if rows else None

    async def any_sealed(self) -> bool:
        """See `Store.any_sealed`."""
        return bool(await self._read("SELECT VALUE version FROM credential WHERE sealed != NONE LIMIT 1"))

    async def token(self, id: TokenId) -> Token | None:
        """See `Store.token`."""
        rows = await self._read("SELECT * FROM $id", id=record_id("token", id))
        return token_of(rows[0]) if rows else None

    async def tokens(self, workspace: str) -> Sequence[Token]:
        """See `Store.tokens`."""
        rows = await self._read("SELECT * FROM token WHERE workspace = $workspace ORDER BY id", workspace=workspace)
        return [token_of(row) for row in rows]

    async def events(
        self,
        workspace: str,
        *,
        matching: EventFilter = EVERY_EVENT,
        after: int | None = None,
        limit: int = MOST,
    ) -> Sequence[AuditEvent]:
        """See `Store.events`."""
        given = {name: value for name, value in asdict(matching).items() if value is not None}
        wanted = "".join(f" AND {_CONDITIONS.get(name, f'{name} = ${name}')}" for name in given)
        events: list[AuditEvent] = []
        parts = {"seq = NONE": "id", "seq > 0": "seq"} if after is None else {"seq > $after": "seq"}
        for part, order in parts.items():  # each in the order of the index, which ends a page early
            if len(events) == _page(limit):
                break
            rows = await self._read(
                f"SELECT * FROM event WITH INDEX event_seq WHERE {part} AND workspace = $workspace{wanted} "  # noqa: S608  # our own columns
                f"ORDER BY {order} LIMIT $limit",
                after=after,
                workspace=workspace,
                limit=_page(limit) - len(events),
                **given,
            )
            events += [event_of(row) for row in rows]
        return events

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        """See `Store.chain`."""
        rows = await self._read(
            "SELECT * FROM event WITH INDEX event_seq WHERE seq > $after ORDER BY seq LIMIT $limit",
            after=after,
            limit=_page(limit),
        )
        return [event_of(row) for row in rows]

    async def event_count(self) -> int:
        """See `Store.event_count`."""
        rows = await self._read("SELECT count() FROM event GROUP ALL")
        return rows[0]["count"] if rows else 0

    async def head(self) -> Head | None:
        """See `Store.head`."""
        rows: list[str] = await self._read("SELECT VALUE link FROM $id", id=HEAD)
        return head_of({"link": rows[0]}) if rows else None

    async def _fits(self, table: str, limit: int) -> bool:
        """Whether a page holds the whole table: reading all of it in key order is then a third faster than by index."""
        counted = await self._read("SELECT count() FROM type::table($table) GROUP ALL", table=table)
        return bool(limit > 0 and (not counted or counted[0]["count"] <= limit))

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """See `Store.usage`."""
        rows = await self._read(
            "SELECT * FROM usage WHERE workspace = $workspace AND day >= $since AND day <= $until",
            workspace=workspace,
            since=since.isoformat(),
            until=until.isoformat(),
        )
        return dict(usage_of(row) for row in rows)

    async def commit(self, changes: Changeset) -> None:
        """See `Store.commit`."""
        if not changes:
            return
        whole = transaction(changes, shared=self._session.shared)
        await self._session.write(whole, changes)

    async def revision(self) -> int:
        """See `Store.revision`."""
        if not self._session.shared:
            return self._session.writes
        rows: list[int] = await self._read("SELECT VALUE number FROM $id", id=REVISION)
        return rows[0] if rows else 0

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        """See `Store.snapshot`."""
        if not self._session.shared:
            async with self._session.still(), aclosing(all_records(self._read, self._dialect)) as records:
                yield records
            return
        async with aclosing(self._settled()) as records:
            yield records

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        await self._session.restore(records)

    async def _settled(self) -> AsyncGenerator[Record, None]:
        """Everything as it is at one moment, while others write. Raises ConflictError, after the last record."""
        moment = await read_moment(self._read, self._dialect)
        if moment is not None:
            async with aclosing(records_of(moment, self._read, self._dialect)) as records:
                async for record in records:
                    yield record
            return
        before = await self.revision()
        async with aclosing(all_records(self._read, self._dialect)) as records:
            async for record in records:
                yield record
        if await self.revision() != before:
            raise ConflictError

    async def ping(self) -> None:
        """See `Store.ping`."""
        await self._read("RETURN 1")

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._session.aclose()


def _page(limit: int) -> int:
    return max(0, min(limit, MOST))
