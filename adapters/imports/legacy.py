"""Open Notebook's former singleton record, which held all credentials of all providers in one object."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from msgspec.structs import replace

from keycairn.adapters.fernet import NotebookKeys
from keycairn.adapters.imports.exported import unwrapped
from keycairn.adapters.imports.notebook_rows import SETTINGS, label, moment, opened
from keycairn.adapters.imports.open_notebook import LEGACY_ID
from keycairn.domain.errors import UnreadableSourceError
from keycairn.domain.incoming import IncomingCredential, IncomingModel, IncomingRow, Refused
from keycairn.domain.secret import Secret


class LegacyConfig:
    """`keycairn.ports.source.ImportSource` over `{"credentials": {provider: [entry, ...]}}`."""

    label = "Open Notebook's provider_configs"

    def __init__(self, document: Mapping[str, Any], passphrase: Secret | None) -> None:
        self._document = document
        self._keys = NotebookKeys(passphrase)

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """See the port. The default entry of a provider comes first and adopts its unlinked models."""
        groups = self._document.get("credentials")
        if not isinstance(groups, Mapping):
            raise UnreadableSourceError("This is not a provider_configs record: it has no `credentials` object.")
        taken: set[tuple[str, str]] = set()
        for provider, entries in groups.items():
            if not isinstance(entries, list):
                yield Refused(where=label(provider, "*"), reason="it is no list of entries")
                continue
            chosen = next((e for e in entries if isinstance(e, Mapping) and e.get("is_default") is True), None)
            if chosen is None:
                chosen = next((e for e in entries if isinstance(e, Mapping)), None)
            names = Counter(str(entry.get("name")) for entry in entries if isinstance(entry, Mapping))
            for entry in sorted(entries, key=lambda e: e is not chosen):
                row = _own_name(self._row(str(provider), entry, default=entry is chosen), taken)
                shared = isinstance(row, IncomingCredential) and names[str(entry.get("name"))] > 1
                yield replace(row, unique_name=False) if shared else row

    def _row(self, group: str, entry: object, *, default: bool) -> IncomingRow:
        if not isinstance(entry, Mapping):
            return Refused(where=label(group, "?"), reason="the entry is no object")
        name, provider = entry.get("name") or "Default", entry.get("provider") or group
        if not isinstance(name, str) or not isinstance(provider, str):
            return Refused(where=label(group, "?"), reason="its name or provider is no text")
        secrets, unopened = opened(entry.get("api_key"), self._keys)
        model, id = entry.get("model"), entry.get("id")
        settings = {key: entry[key] for key in SETTINGS if isinstance(entry.get(key), str) and entry[key].strip()}
        odd = [key for key in SETTINGS if entry.get(key) is not None and not isinstance(entry[key], str)]
        return IncomingCredential(
            where=label(provider, name, secrets=secrets),
            provider=provider,
            name=name,
            id=f"credential:{id}" if isinstance(id, str) and id else None,
            settings=settings,
            secrets=secrets,
            unopened=unopened,
            extra={"is_default": default},
            models=(IncomingModel(name=model),) if isinstance(model, str) and model.strip() else (),
            default=default,
            adopts=default,
            unique_name=True,
            notes=tuple(f"left behind: {key}, which is no text" for key in odd),
            created=moment(entry.get("created")),
            updated=moment(entry.get("updated")),
        )


def legacy_document(document: object) -> Mapping[str, Any] | None:
    """The record in a JSON document that holds it alone, in a list, or in the answer of a query; None where none is.

    Raises UnreadableSourceError where there are several that differ.
    """
    items = unwrapped(document) if isinstance(document, list) else [document]
    found: list[Mapping[str, Any]] = []
    for item in items:
        if isinstance(item, Mapping) and isinstance(item.get("provider_configs"), Mapping):
            item = item["provider_configs"]  # noqa: PLW2901  # as a request over HTTP holds it
        if isinstance(item, Mapping) and isinstance(item.get("credentials"), Mapping) and item not in found:
            found.append(item)
    if len(found) > 1:
        found = [item for item in found if item.get("id", LEGACY_ID) == LEGACY_ID] or found
    if len(found) > 1:
        raise UnreadableSourceError("There are several provider_configs records that differ. Leave the one to import.")
    return found[0] if found else None


def _own_name(row: IncomingRow, taken: set[tuple[str, str]]) -> IncomingRow:
    """The row, numbered where an entry above has its name: none is to be lost for its name."""
    if not isinstance(row, IncomingCredential):
        return row
    name, number = row.name, 1
    while (row.provider, name) in taken:
        number += 1
        name = f"{row.name} {number}"
    taken.add((row.provider, name))
    return replace(row, name=name)
