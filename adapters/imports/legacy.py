"""Open Notebook's former singleton record, which held all credentials of all providers in one object."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from keycairn.adapters.fernet import NotebookKeys
from keycairn.adapters.imports.notebook_rows import SETTINGS, label, moment, opened
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
        for provider, entries in groups.items():
            if not isinstance(entries, list):
                yield Refused(where=label(provider, "*"), reason="it is no list of entries")
                continue
            chosen = next((e for e in entries if isinstance(e, Mapping) and e.get("is_default") is True), None)
            if chosen is None:
                chosen = next((e for e in entries if isinstance(e, Mapping)), None)
            for entry in sorted(entries, key=lambda e: e is not chosen):
                yield self._row(str(provider), entry, default=entry is chosen)

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
            notes=tuple(f"left behind: {key}, which is no text" for key in odd),
            created=moment(entry.get("created")),
            updated=moment(entry.get("updated")),
        )
