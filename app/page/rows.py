"""The credentials of a workspace as pages list them, kept while nothing that is stored changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct

from keycairn.app.keycairn import Keycairn
from keycairn.app.page.credential_states import AccountState, host_of, state_of
from keycairn.app.services.credentials import Listed
from keycairn.app.turns import in_turns
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.reach import Reach
from keycairn.ports.store import MOST, Position

MOST_WORKSPACES = 8


class Row(Struct, frozen=True, kw_only=True):
    """A credential in a list: its provider's label, where its calls go, and its state. `words` is what finds it."""

    listed: Listed
    label: str
    host: str
    state: AccountState
    words: str


class ListedCredentials:
    """All rows of a workspace, in the order of the list. Made anew when the store's revision or the keys change."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[tuple[object, ...], Sequence[Row]]] = OrderedDict()
        self._making = asyncio.Lock()

    async def of(self, keycairn: Keycairn, workspace: str, reach: Reach) -> Sequence[Row]:
        """Those within reach."""
        rows = await self._all(keycairn, workspace)
        if reach.whole:
            return rows
        return [row for row in rows if reach.holds(row.listed.credential.provider, row.listed.credential.id)]

    async def _all(self, keycairn: Keycairn, workspace: str) -> Sequence[Row]:
        async with self._making:
            state = (id(keycairn), await keycairn.store.revision(), keycairn.vault.why_sealed)
            kept = self._kept.get(workspace)
            if kept is None or kept[0] != state:
                kept = (state, await _made(keycairn, workspace))
                self._kept[workspace] = kept
                while len(self._kept) > MOST_WORKSPACES:
                    self._kept.popitem(last=False)
            return kept[1]


async def _made(keycairn: Keycairn, workspace: str) -> Sequence[Row]:
    specs = {one.spec.name: one.spec for one in keycairn.registry.all()}
    found: list[Row] = []
    after: Position | None = None
    while page := await keycairn.credentials.list(after=after, limit=MOST, workspace=workspace):
        found += await in_turns(page, lambda listed: _row(listed, specs.get(listed.credential.provider)))
        if len(page) < MOST:
            break
        last = page[-1].credential
        after = Position(last.provider, last.created, last.id)
    return found


def _row(listed: Listed, spec: ProviderSpec | None) -> Row:
    credential = listed.credential
    host = host_of(listed, spec)
    label = spec.label if spec else credential.provider
    words = f"{credential.name}\n{credential.provider}\n{label}\n{host}".casefold()
    return Row(listed=listed, label=label, host=host, state=state_of(listed, spec), words=words)
