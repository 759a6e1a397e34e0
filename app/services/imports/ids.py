"""The ids of imported records: kept where that harms nobody, else made anew within the workspace."""

import re
from hashlib import sha256

from msgspec.structs import replace

from keycairn.app.services.audit import Deleted
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import InvalidIdError
from keycairn.domain.ids import CredentialId, ModelId, credential_id, key_of, model_id
from keycairn.domain.incoming import IncomingCredential
from keycairn.ports.store import Store

_OURS = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}|n[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
"""How the ids end that are made here: ULIDs, and those of `digested`. Every id of another workspace is one of these."""


def scoped_id(id: str, workspace: str) -> str:
    """The id in a workspace of what its source calls `id`: the same at every import, and no other workspace's.

    Ids are unique in the whole database. So only the default workspace keeps what a source says, and only in a form in
    which no id is ever made: nobody can learn of another workspace's records by the ids that are taken, or take theirs.
    """
    if workspace == DEFAULT_WORKSPACE and not _OURS.fullmatch(key_of(id)):
        return id
    return f"{id.partition(':')[0]}:{digested(workspace, id)}"


def digested(*parts: str) -> str:
    """The end of an id that is made of `parts`."""
    return "n" + sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


class ImportIds:
    """Finds the ids under which rows belong into a workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(
        self, row: IncomingCredential, workspace: str, gone: Deleted
    ) -> tuple[IncomingCredential, dict[str, str]]:
        """The row with the ids it gets, none where its source has none of our form; and those that are other ones."""
        credential = await self._credential(row.id, workspace, gone)
        models = [await self.model(model.id, workspace, gone) for model in row.models]
        placed = replace(
            row,
            id=credential,
            models=tuple(replace(model, id=id) for model, id in zip(row.models, models, strict=True)),
        )
        pairs = [(row.id, credential), *((model.id, id) for model, id in zip(row.models, models, strict=True))]
        return placed, {old: new for old, new in pairs if old and new and old != new}

    async def model(self, text: str | None, workspace: str, gone: Deleted) -> ModelId | None:
        """The id of a model whose source calls it `text`: that itself where the workspace has, or had, that model."""
        try:
            id = model_id(text or "")
        except InvalidIdError:
            return None
        scoped = ModelId(scoped_id(id, workspace))
        known = scoped == id or id in gone.ids or await self._store.model(workspace, id) is not None
        return id if known else scoped

    async def _credential(self, text: str | None, workspace: str, gone: Deleted) -> CredentialId | None:
        try:
            id = credential_id(text or "")
        except InvalidIdError:
            return None
        scoped = CredentialId(scoped_id(id, workspace))
        known = scoped == id or id in gone.ids or await self._store.credential(workspace, id) is not None
        return id if known else scoped
