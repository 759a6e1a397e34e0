"""Changes as SurrealQL. Values are bound variables throughout; no value ever becomes part of a statement's text.

No statement here is an UPSERT (nor is any table a view, which upserts by itself): an UPSERT opens a savepoint, and of a
key that one transaction writes in two savepoints SurrealKV 0.9 finds only the first write again after a restart.
"""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from surrealdb import RecordID

from keycairn.adapters.surreal.errors import HEAD_MOVED, RESTORING, STALE
from keycairn.adapters.surreal.records import (
    credential_row,
    defaults_row,
    event_row,
    filled,
    fingerprint_columns,
    json_text,
    keyset_row,
    model_row,
    record_id,
    token_row,
    usage_id,
)
from keycairn.domain.change import (
    AddUsage,
    Append,
    Change,
    Changeset,
    CreateCredential,
    CreateModel,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    ExpectCredential,
    ExpectModel,
    ExpectNoCredential,
    MarkBroken,
    MoveHead,
    PutDefaults,
    PutFingerprints,
    PutKeyset,
    PutToken,
    RecordCheck,
    RecordUse,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
    Reseal,
    check_text,
    only_counts,
)

KEYSET = RecordID("keyset", "current")
HEAD = RecordID("head", "current")
REVISION = RecordID("revision", "current")
MARKER = RecordID("restoring", "current")


class Transaction:
    """The statements of one transaction and their variables.

    Every scan runs before every write. A scan of keys that the same transaction has deleted skips what lies behind them
    (seen on the embedded engine 2.3.10, on disk and in memory): it would miss models, and link or delete only some.
    """

    def __init__(self) -> None:
        self._scans: list[str] = []
        self._statements: list[str] = []
        self.variables: dict[str, Any] = {}

    def scan(self, query: str, **values: Any) -> str:
        """Run `query` before anything is written; the variable that holds its result."""
        name = f"$s{len(self._scans)}"
        self._scans.append(f"LET {name} = ({self._bound(query, values)})")
        return name

    def add(self, statement: str, **values: Any) -> None:
        """Append `statement`, in which `{name}` stands for the value of that name."""
        self._statements.append(self._bound(statement, values))

    def _bound(self, statement: str, values: Mapping[str, Any]) -> str:
        names = {}
        for name, value in values.items():
            variable = f"v{len(self.variables)}"
            self.variables[variable] = value
            names[name] = f"${variable}"
        return statement.format_map(names)

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

    @property
    def text(self) -> str:
        """The whole transaction as one query."""
        return ";\n".join(["BEGIN", *self._scans, *self._statements, "COMMIT"]) + ";"


def transaction(changes: Changeset, *, shared: bool) -> Transaction:
    """The transaction that applies `changes`.

    Where other processes write too (`shared`), each transaction also writes the revision: that is how they notice, and
    it makes any two concurrent transactions conflict, so that what one has read the other cannot have changed. And
    another process may be restoring a backup there, which must not be mixed with anything.
    """
    whole = Transaction()
    if shared:
        whole.expect("(SELECT VALUE owner FROM ONLY {id}) = NONE", otherwise=RESTORING, id=MARKER)
    for change in changes:
        _add(change, whole)
    if shared and not only_counts(changes):
        whole.put("SET number = (number ?? 0) + 1", id=REVISION)
    return whole


@singledispatch
def _add(change: Change, to: Transaction) -> None:
    """Add the statements of one change."""
    raise NotImplementedError(type(change).__name__, to)


@_add.register
def _(change: CreateCredential, to: Transaction) -> None:
    id = record_id("credential", change.credential.id)
    to.add("CREATE {id} CONTENT {row} RETURN NONE", id=id, row=credential_row(change.credential))


@_add.register
def _(change: ReplaceCredential, to: Transaction) -> None:
    new = change.credential
    to.expect(
        "(UPDATE {id} CONTENT {row} WHERE workspace = {workspace} AND version = {expected} RETURN VALUE id) != []",
        id=record_id("credential", new.id),
        row=credential_row(new),
        workspace=new.workspace,
        expected=change.expected,
    )


@_add.register
def _(change: DeleteCredential, to: Transaction) -> None:
    to.expect(
        "(DELETE {id} WHERE workspace = {workspace} AND version = {expected} RETURN BEFORE) != []",
        id=record_id("credential", change.id),
        workspace=change.workspace,
        expected=change.expected,
    )


@_add.register
def _(change: RecordCheck, to: Transaction) -> None:
    to.add(
        "UPDATE {id} SET last_check = {check} WHERE workspace = {workspace} RETURN NONE",
        id=record_id("credential", change.id),
        check=json_text(change.check),
        workspace=change.workspace,
    )


@_add.register
def _(change: MarkBroken, to: Transaction) -> None:
    to.add(
        "UPDATE {id} SET broken = {broken} WHERE workspace = {workspace} AND version = {expected} RETURN NONE",
        id=record_id("credential", change.id),
        broken=filled(change.broken),
        workspace=change.workspace,
        expected=change.expected,
    )


@_add.register
def _(change: Reseal, to: Transaction) -> None:
    to.add(
        "UPDATE {id} SET sealed = {sealed} WHERE workspace = {workspace} AND version = {expected} RETURN NONE",
        id=record_id("credential", change.id),
        sealed=filled(change.sealed),
        workspace=change.workspace,
        expected=change.expected,
    )


@_add.register
def _(change: PutFingerprints, to: Transaction) -> None:
    to.add(
        "UPDATE {id} SET fingerprints = {fingerprints}, prints = {prints} "
        "WHERE workspace = {workspace} AND version = {expected} RETURN NONE",
        id=record_id("credential", change.id),
        **fingerprint_columns(change.fingerprints),
        workspace=change.workspace,
        expected=change.expected,
    )


@_add.register
def _(change: CreateModel, to: Transaction) -> None:
    id = record_id("model", change.model.id)
    to.add("CREATE {id} CONTENT {row} RETURN NONE", id=id, row=model_row(change.model))


@_add.register
def _(change: ReplaceModel, to: Transaction) -> None:
    to.expect(
        "(UPDATE {id} CONTENT {row} WHERE workspace = {workspace} AND version = {expected} RETURN VALUE id) != []",
        id=record_id("model", change.model.id),
        row=model_row(change.model),
        workspace=change.model.workspace,
        expected=change.expected,
    )


@_add.register
def _(change: DeleteModel, to: Transaction) -> None:
    to.expect(
        "(DELETE {id} WHERE workspace = {workspace} RETURN BEFORE) != []",
        id=record_id("model", change.id),
        workspace=change.workspace,
    )


_LINKED = "SELECT VALUE id FROM model WHERE credential = {credential} AND workspace = {workspace}"


@_add.register
def _(change: RelinkModels, to: Transaction) -> None:
    target = record_id("credential", change.target)
    linked = to.scan(_LINKED, credential=record_id("credential", change.source), workspace=change.workspace)
    to.add(
        f"UPDATE {linked} SET credential = {{target}}, holder = {{holder}}, version += 1 RETURN NONE",  # noqa: S608  # our own variable
        target=target,
        holder=target.id,
    )


@_add.register
def _(change: DeleteModelsOf, to: Transaction) -> None:
    linked = to.scan(_LINKED, credential=record_id("credential", change.credential), workspace=change.workspace)
    to.add(f"DELETE {linked} RETURN NONE")


@_add.register
def _(change: PutDefaults, to: Transaction) -> None:
    id = RecordID("defaults", change.defaults.workspace)
    to.expect("((SELECT VALUE version FROM ONLY {id}) ?? 0) = {expected}", id=id, expected=change.expected)
    to.put("CONTENT {row}", id=id, row=defaults_row(change.defaults))


@_add.register
def _(change: PutKeyset, to: Transaction) -> None:
    to.expect("((SELECT VALUE generation FROM ONLY {id}) ?? 0) = {expected}", id=KEYSET, expected=change.expected)
    to.put("CONTENT {row}", id=KEYSET, row=keyset_row(change.keyset))


@_add.register
def _(change: PutToken, to: Transaction) -> None:
    to.put("CONTENT {row}", id=record_id("token", change.token.id), row=token_row(change.token))


@_add.register
def _(change: RecordUse, to: Transaction) -> None:
    to.add("UPDATE {id} SET last_used = {at} RETURN NONE", id=record_id("token", change.id), at=change.at)


@_add.register
def _(change: Append, to: Transaction) -> None:
    to.add("CREATE {id} CONTENT {row} RETURN NONE", id=record_id("event", change.event.id), row=event_row(change.event))


@_add.register
def _(change: MoveHead, to: Transaction) -> None:
    expected = f"{change.expected.seq} {change.expected.mac}" if change.expected else None
    to.expect("(SELECT VALUE link FROM ONLY {id}) = {link}", otherwise=HEAD_MOVED, id=HEAD, link=expected)
    to.put("CONTENT {row}", id=HEAD, row={"link": f"{change.head.seq} {change.head.mac}"})


@_add.register
def _(change: AddUsage, to: Transaction) -> None:
    check_text(change.key)
    key, usage = change.key, change.usage
    to.put(
        "SET workspace = {workspace}, day = {day}, token = {token}, credential = {credential}, model = {model}, "
        "requests = (requests ?? 0) + {requests}, failed = (failed ?? 0) + {failed}, "
        "input_tokens = (input_tokens ?? 0) + {input}, output_tokens = (output_tokens ?? 0) + {output}, "
        "last_used = array::max(array::filter([last_used, {last_used}], |$one| $one != NONE))",
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
        last_used=usage.last_used,
    )


@_add.register
def _(change: ExpectCredential, to: Transaction) -> None:
    id = record_id("credential", change.id)
    found = "(SELECT VALUE version FROM ONLY {id} WHERE workspace = {workspace})"
    if change.version is None:
        to.expect(f"{found} != NONE", id=id, workspace=change.workspace)
    else:
        to.expect(f"{found} = {{version}}", id=id, workspace=change.workspace, version=change.version)


@_add.register
def _(change: ExpectModel, to: Transaction) -> None:
    to.expect(
        "(SELECT VALUE version FROM ONLY {id} WHERE workspace = {workspace}) != NONE",
        id=record_id("model", change.id),
        workspace=change.workspace,
    )


@_add.register
def _(change: ExpectNoCredential, to: Transaction) -> None:
    check_text(change)
    found = to.scan(
        "SELECT VALUE version FROM credential WHERE workspace = {workspace} AND provider = {provider} LIMIT 1",
        workspace=change.workspace,
        provider=change.provider,
    )
    to.expect(f"{found} = []")
