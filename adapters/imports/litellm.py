"""A LiteLLM `config.yaml`: its `credential_list`, and one credential for each account its `model_list` uses.

Source of the format: https://docs.litellm.ai/docs/proxy/configs
"""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from keycairn.adapters.imports.litellm_accounts import FoundAccount, LiteLlmAccounts, RefusedAccountError, identity
from keycairn.adapters.imports.litellm_groups import entry_of, settle
from keycairn.adapters.imports.litellm_names import our_name, provider_of
from keycairn.adapters.imports.litellm_routing import Routing
from keycairn.adapters.imports.notebook_rows import label
from keycairn.domain.errors import UnreadableSourceError
from keycairn.domain.incoming import IncomingCredential, IncomingRow, Refused
from keycairn.domain.modeltypes import classify
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.secret import Secret

LARGEST = 16 * 1024 * 1024
"""Bytes."""
MOST_MERGED = 10_000
"""Keys of one mapping."""
NOBODY = "its model does not say which provider it is of"
EVERY = "it stands for models of every provider; name each, as provider/*"
_MODES: Mapping[str, str] = {
    "chat": "language",
    "completion": "language",
    "responses": "language",
    "embedding": "embedding",
    "audio_transcription": "speech_to_text",
    "audio_speech": "text_to_speech",
}


class LiteLlmConfig:
    """`keycairn.ports.source.ImportSource` over the document; `variables` are what `os.environ/NAME` refers to.

    It may name those of the provider it stands for, by its `specs`, and those `allowed`: see `ImportVariables`.
    `anyway`: what looks like an address and is not understood holds no account back.
    """

    label = "LiteLLM's config.yaml"

    def __init__(
        self,
        document: object,
        variables: Mapping[str, Secret],
        specs: Sequence[ProviderSpec] = (),
        allowed: Collection[str] = (),
        *,
        anyway: bool = False,
    ) -> None:
        self._document = document
        self._accounts = LiteLlmAccounts(own_variables(document), variables, specs, allowed, anyway=anyway)

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """See the port. A reference that is not set, or may not be read, arrives as a secret to be entered."""
        models, credentials = self._lists()
        groups: dict[object, FoundAccount] = {}
        refused: list[Refused] = []
        named: dict[str, Mapping[str, Any]] = {}
        for position, entry in enumerate(credentials, 1):
            name = entry.get("credential_name") if isinstance(entry, Mapping) else None
            if not isinstance(name, str) or not isinstance(entry.get("credential_values"), Mapping):
                refused.append(Refused(where=f"credential_list[{position}]", reason="it has no name or no values"))
            else:
                named[name] = entry
        for position, entry in enumerate(models, 1):
            refused += self._place(entry, f"model_list[{position}]", named, groups)
        settle(entry for group in groups.values() for entry in group.models)
        routing = Routing(self._document if isinstance(self._document, Mapping) else {})
        routing.spread(list(groups.values()))
        used = {group.name for group in groups.values()}
        for name, entry in named.items():
            if name not in used:
                refused += self._unused(name, entry, groups)
        for row in _rows(groups):
            yield row
        for remark in (*refused, *routing.rows):
            yield remark

    def _lists(self) -> tuple[list[Any], list[Any]]:
        document = self._document
        if not isinstance(document, Mapping):
            raise UnreadableSourceError("This is no LiteLLM config: it is no mapping.")
        models, credentials = (document.get(name) or [] for name in ("model_list", "credential_list"))
        if not isinstance(models, list) or not isinstance(credentials, list):
            raise UnreadableSourceError("This is no LiteLLM config: model_list and credential_list are lists.")
        if not models and not credentials:
            raise UnreadableSourceError("This is no LiteLLM config: it has neither model_list nor credential_list.")
        return models, credentials

    def _place(
        self, entry: object, where: str, named: Mapping[str, Mapping[str, Any]], groups: dict[object, FoundAccount]
    ) -> list[Refused]:
        """Put a model into the group of its account; what is wrong with it instead."""
        entry = entry if isinstance(entry, Mapping) else {}
        try:
            reference, values = _parameters(entry, named)
            provider, model = provider_of(values)
            if provider is None:
                raise RefusedAccountError(EVERY if model == "*" else NOBODY)  # noqa: TRY301  # told like the others
            group = self._accounts.of(provider, values, reference, where)
        except RefusedAccountError as error:
            return [Refused(where=where, reason=str(error))]
        info = entry.get("model_info")
        mode = info.get("mode") if isinstance(info, Mapping) else None
        type = _MODES.get(mode, "") if isinstance(mode, str) else classify(model) or ""
        key = (reference, group.provider, tuple(sorted(group.settings.items())), identity(values))
        kept = groups.setdefault(key, group)
        kept.notes |= group.notes
        if "*" in model:
            kept.any_model = True
            kept.notes.add(f"any model of it can be called, as {group.provider}/NAME")
            return []
        if not type:
            return [Refused(where=where, reason="its model does none of the four kinds of work")]
        made = entry_of(group.provider, model, type, where, entry, values)
        same = (made.model.name, model, type)
        if not any((one.model.name, one.model.provider_model, one.model.type) == same for one in kept.models):
            kept.models.append(made)
        return []

    def _unused(self, name: str, entry: Mapping[str, Any], groups: dict[object, FoundAccount]) -> list[Refused]:
        info = entry.get("credential_info")
        said = info.get("custom_llm_provider") if isinstance(info, Mapping) else None
        if not isinstance(said, str):
            return [Refused(where=label("credential_list", name), reason="nothing says which provider it is of")]
        values = dict(entry["credential_values"])
        try:
            groups[name,] = self._accounts.of(our_name(said), values, name, name)
        except RefusedAccountError as error:
            return [Refused(where=label("credential_list", name), reason=str(error))]
        return []


def _parameters(entry: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, dict[str, Any]]:
    """The credential an entry names, and its parameters with that credential's. Raises RefusedAccountError."""
    params = entry.get("litellm_params")
    if not isinstance(params, Mapping) or not isinstance(params.get("model"), str):
        raise RefusedAccountError("it has no litellm_params.model")
    reference = params.get("litellm_credential_name")
    values: dict[str, Any] = {}
    if reference is not None:
        if not isinstance(reference, str) or reference not in named:
            raise RefusedAccountError("its litellm_credential_name is not in credential_list")
        values = dict(named[reference]["credential_values"])
    return reference, values | {str(key): value for key, value in params.items() if value is not None}


def own_variables(document: object) -> dict[str, Secret]:
    """The `environment_variables` of a config, which LiteLLM sets before it reads the rest."""
    given = document.get("environment_variables") if isinstance(document, Mapping) else None
    if not isinstance(given, Mapping):
        return {}
    return {str(name): Secret(str(value)) for name, value in given.items() if isinstance(value, str | int)}


def read_yaml(file: Path) -> Any:
    """The document in a YAML file. Raises UnreadableSourceError, which says where and does not quote."""
    where = ""
    try:
        if file.stat().st_size > LARGEST:
            raise UnreadableSourceError(f"{file.name} is larger than {LARGEST // 1024**2} MiB.")
        raw = file.read_bytes()
    except OSError as error:
        raise UnreadableSourceError(f"{file.name} cannot be read: {error.strerror}.") from None
    try:
        return parse_yaml(raw)
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError):
        pass  # raised below, so that the parser's exception, which quotes the file, is not its context
    raise UnreadableSourceError(f"{file.name} is no YAML{where}.")


def parse_yaml(raw: bytes) -> Any:
    """The document in `raw`, of plain types only. Raises yaml.YAMLError, and what Python raises for odd scalars."""
    return yaml.load(raw, Loader=_Loader)  # noqa: S506  # a SafeLoader


class _Loader(yaml.SafeLoader):
    """Takes merge keys (`<<`), which configs use to share parameters, but no tower of them that grows without end."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_MERGED:
            raise yaml.YAMLError


def _rows(groups: Mapping[object, FoundAccount]) -> Iterator[IncomingCredential]:
    taken: set[tuple[str, str]] = set()
    for group in groups.values():
        name, number = group.name, 1
        while (group.provider, name) in taken:
            number += 1
            name = f"{group.name} {number}"
        taken.add((group.provider, name))
        yield IncomingCredential(
            where=label(group.provider, name, secrets=group.secrets),
            provider=group.provider,
            name=name,
            settings=group.settings,
            secrets=group.secrets,
            unopened=group.unopened,
            models=tuple(entry.model for entry in group.models),
            unique_name=group.named,
            any_model=group.any_model,
            notes=tuple(sorted(group.notes)),
        )
