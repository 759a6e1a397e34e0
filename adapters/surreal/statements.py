"""What a changeset leaves behind, as SurrealQL. Values are bound variables; none becomes part of a statement's text.

No statement here is an UPSERT (nor is any table a view, which upserts by itself): an UPSERT opens a savepoint, and of a
key that one transaction writes in two savepoints SurrealKV 0.9 finds only the first write again after a restart.
"""

from collections.abc import Collection, Container, Iterable
from typing import Any

from surrealdb import RecordID

from keycairn.adapters.surreal.errors import MOVED, RESTORING, STALE
from keycairn.adapters.surreal.history_rows import hours_column, usage_id
from keycairn.adapters.surreal.records import STRANGE, columns
from keycairn.adapters.surreal.rows import record_id
from keycairn.domain.change import AddUsage, Change, DropUsage, RecordUse
from keycairn.domain.draft import Draft
from keycairn.domain.proof import Proven, proves_anew
from keycairn.domain.record import Record
from keycairn.domain.state import Images, Key

KEYSET = RecordID("keyset", "current")
HEAD = RecordID("head", "current")
REVISION = RecordID("revision", "current")
TAKEN = RecordID("taken", "current")
MARKER = RecordID("restoring", "current")
LEDGER = RecordID("ledger", "current")
KEPT = 2_000
"""Revisions of which it is noted what they touched. Whoever is further behind reads everything anew."""


class Transaction:
    """The statements of one transaction and their variables."""

    def __init__(self) -> None:
        self._statements: list[str] = []
        self.variables: dict[str, Any] = {}

    def add(self, statement: str, **values: Any) -> None:
        """Append `statement`, in which `{name}` stands for the value of that name."""
        names = {}
        for name, value in values.items():
            variable = f"v{len(self.variables)}"
            self.variables[variable] = value
            names[name] = f"${variable}"
        self._statements.append(statement.format_map(names))

    def expect(self, condition: str, *, otherwise: str = STALE, **values: Any) -> None:
        """Abort the transaction unless `condition` holds."""
        self.add(f"IF !({condition}) {{{{ THROW '{otherwise}' }}}}", **values)

    def put(self, content: str, **values: Any) -> None:
        """Insert the record `id`, or overwrite it. `content` is a clause with its values, such as `CONTENT {row}`."""
        create, update = (f"{verb} {{id}} {content} RETURN NONE" for verb in ("CREATE", "UPDATE"))
        self.add(
            f"IF (SELECT VALUE id FROM ONLY {{id}}) = NONE {{{{ {create} }}}} ELSE {{{{ {update} }}}}",  # noqa: S608  # our own clauses
            **values,
        )

    def image(self, kind: str, key: str, record: Record | None, *, existed: bool | None) -> None:
        """Make the record what it is afterwards. `existed` tells whether it was there, None that it is unknown."""
        id = RecordID(kind, key)
        if record is None and key.startswith(STRANGE):
            self._remove_strange(kind, key.removeprefix(STRANGE))
        elif record is None:
            self.add("DELETE {id} RETURN NONE", id=id)
        elif existed is None:
            self.put("CONTENT {row}", id=id, row=columns(record))
        else:
            verb = "UPDATE" if existed else "CREATE"
            self.add(f"{verb} {{id}} CONTENT {{row}} RETURN NONE", id=id, row=columns(record))

    def _remove_strange(self, kind: str, name: str) -> None:
        """Remove a record that `strange_key` named."""
        if name.startswith(STRANGE):
            self.add("DELETE {id} RETURN NONE", id=RecordID(kind, name))
        else:
            self.add(
                "DELETE type::table({kind}) WHERE <string>id = {spelled} RETURN NONE",
                kind=kind,
                spelled=f"{kind}:{name}",
            )

    def ledger(self, store: str, number: int, *, first: bool = True) -> None:
        """Note that the changeset `number` of the redo log of `store` is in. `first`: perhaps nothing was noted yet."""
        row = {"store": store, "number": number}
        if first:
            self.put("CONTENT {row}", id=LEDGER, row=row)
        else:
            self.add("UPDATE {id} CONTENT {row} RETURN NONE", id=LEDGER, row=row)

    @property
    def text(self) -> str:
        """The whole transaction as one query."""
        return ";\n".join(["BEGIN", *self._statements, "COMMIT"]) + ";"


def drafted(
    draft: Draft,
    images: Images,
    *,
    to: Transaction,
    without: Collection[str] = (),
    doubtful: Container[Key] = frozenset(),
) -> None:
    """Leave records of a draft as `images` say, where nobody else has written since. Kinds may be left out.

    Of the `doubtful` the draft does not know whether something stands there that it was not shown. A rotation proves
    every record anew, and changes nothing else of most: one column takes a quarter less than the whole record.
    """
    for (kind, key), record in images.items():
        if kind in without:
            continue
        unknown = (kind, key) in doubtful
        before = None if unknown else draft.before((kind, key))
        if isinstance(record, Proven) and isinstance(before, Proven) and record.proof and proves_anew(record, before):
            to.add("UPDATE {id} SET proof = {proof} RETURN NONE", id=RecordID(kind, key), proof=record.proof)
        else:
            to.image(kind, key, record, existed=None if unknown else before is not None)


def replayed(images: Images) -> Transaction:
    """The transaction that removes records, or makes those that are not there."""
    whole = Transaction()
    for (kind, key), record in images.items():
        whole.image(kind, key, record, existed=False)
    return whole


def counted(changes: Iterable[Change], to: Transaction) -> None:
    """Add to the sums that others add to as well, or remove them, and the marks of last use."""
    for change in changes:
        if isinstance(change, AddUsage):
            _add_usage(change, to)
        elif isinstance(change, DropUsage):
            to.add("DELETE {id} RETURN NONE", id=usage_id(change.key))
        elif isinstance(change, RecordUse):
            to.add("UPDATE {id} SET last_used = {at} RETURN NONE", id=record_id("token", change.id), at=change.at)


def guard(to: Transaction) -> None:
    """Have the transaction of a shared database refused while somebody restores it."""
    to.expect("(SELECT VALUE owner FROM ONLY {id}) = NONE", otherwise=RESTORING, id=MARKER)


def moved_on(to: Transaction, revision: int, touched: Iterable[Key] = (), *, takes: bool = False) -> None:
    """Have the transaction refused unless the database is at `revision`, and note what the next one touched.

    `takes` says that it takes something away, which other instances must not use once that is acknowledged.
    """
    to.expect(
        "((SELECT VALUE number FROM ONLY {id}) ?? 0) = {revision}", otherwise=MOVED, id=REVISION, revision=revision
    )
    following = revision + 1
    to.put("SET number = {next}", id=REVISION, next=following)
    if takes:
        to.put("SET number = {next}", id=TAKEN, next=following)
    ids = [RecordID(kind, key) for kind, key in touched if not key.startswith(STRANGE)]
    to.put("CONTENT {row}", id=RecordID("change", following), row={"touched": ids, "takes": takes})
    to.add("DELETE {id} RETURN NONE", id=RecordID("change", following - KEPT))


def _add_usage(change: AddUsage, to: Transaction) -> None:
    key, usage = change.key, change.usage
    hours = hours_column(usage)
    to.put(
        "SET workspace = {workspace}, day = {day}, token = {token}, credential = {credential}, model = {model}, "
        "requests = (requests ?? 0) + {requests}, failed = (failed ?? 0) + {failed}, "
        "input_tokens = (input_tokens ?? 0) + {input}, output_tokens = (output_tokens ?? 0) + {output}, "
        "cached_tokens = (cached_tokens ?? 0) + {cached}, estimated = (estimated ?? 0) + {estimated}, "
        "nanos = (nanos ?? 0) + {nanos}, "
        "last_used = array::max(array::filter([last_used, {last_used}], |$one| $one != NONE)), "
        "hours = IF {hours} = NONE {{ hours }} ELSE {{ vector::add(hours ?? {nothing}, {hours}) }}",
        id=usage_id(key),
        workspace=key.workspace,
        day=key.day.isoformat(),
        token=key.token,
        credential=key.credential,
        model=key.model,
        requests=usage.requests,
        failed=usage.failed,
        input=usage.input_tokens,
        output=usage.output_tokens,
        cached=usage.cached_tokens,
        estimated=usage.estimated,
        nanos=usage.nanos,
        last_used=usage.last_used,
        hours=hours,
        nothing=[0] * len(hours or ()),
    )
