"""The accounts of a LiteLLM config: the parameters of an entry, and the environment as LiteLLM reads it.

Source: https://docs.litellm.ai/docs/proxy/configs
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from keycairn.adapters.imports.litellm_groups import GroupEntry
from keycairn.adapters.imports.litellm_names import names_of
from keycairn.adapters.imports.variables import REFERENCE, ImportVariables, RefusedVariableError
from keycairn.domain.env_accounts import read_accounts
from keycairn.domain.env_variable import is_variable_name
from keycairn.domain.environment import EnvironmentAccount, Place
from keycairn.domain.healing import speaks_of_a_placeholder
from keycairn.domain.provider import ProviderSpec, canonical_name
from keycairn.domain.secret import Secret

_SETTINGS: Mapping[str, str] = {
    "api_version": "api_version",
    "vertex_project": "project",
    "vertex_location": "location",
    "num_ctx": "num_ctx",
}
_SECRETS: Mapping[str, str] = {"api_key": "api_key", "vertex_credentials": "service_account"}
_OF_AMAZON: Mapping[str, str] = {
    "aws_region_name": "region",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_SECRET = frozenset({*_SECRETS.values(), "access_key_id", "secret_access_key", "session_token"})
_BASES = ("api_base", "base_url")
_PASSED = frozenset({"model", "litellm_credential_name", "custom_llm_provider"})
_TUNING = frozenset(
    {"rpm", "tpm", "timeout", "stream_timeout", "max_retries", "max_tokens", "temperature", "weight", "order"}
)
"""How calls are made rather than who pays for them: it is read with the groups, or belongs to the model's callers."""
_OF_ACCOUNTS = re.compile(r"aws_|azure_ad_token|client_secret|tenant_id", re.ASCII)
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


class RefusedAccountError(Exception):
    """An entry makes no account; the text says why, and holds nothing secret."""


class FoundAccount(Struct):
    """One account, found piece by piece.

    `named`: the file gives it its name. `any_model`: an entry of it stands for any model of the provider.
    """

    provider: str
    name: str
    settings: dict[str, str | int]
    secrets: dict[str, Secret]
    unopened: dict[str, str]
    notes: set[str]
    models: list[GroupEntry]
    named: bool = False
    any_model: bool = False


class LiteLlmAccounts:
    """Reads parameters into accounts.

    `own` are the file's `environment_variables`, `variables` those it may refer to.
    """

    def __init__(
        self,
        own: Mapping[str, Secret],
        variables: Mapping[str, Secret],
        specs: Sequence[ProviderSpec],
        allowed: Collection[str],
        *,
        anyway: bool,
    ) -> None:
        self._variables = ImportVariables(variables, specs, allowed, own)
        self._specs = {spec.name: spec for spec in specs}
        told = {name: value for name, value in own.items() if reference(value.reveal()) is None}
        places = [Place("the file", told), Place("the environment", variables)]
        self._environment = read_accounts(specs, places, anyway=anyway) if specs else []

    def of(self, provider: str, values: Mapping[str, Any], name: str | None, where: str) -> FoundAccount:
        """The account of an entry's parameters. Raises RefusedAccountError."""
        found = FoundAccount(provider, name or "", {}, {}, {}, set(), [], named=bool(name))
        for key, value in values.items():
            if value is not None and key in _BASES:
                self._put_base(found, value)
            elif value is not None and (target := _target(key, provider)):
                self._put(found, target, value)
            elif key not in _PASSED | _TUNING | {*_BASES}:
                found.notes.add(_left(key))
        self._as_litellm_does(found, values)
        if not found.name:
            found.name = _account_name(values, where)
        return found

    def _put_base(self, found: FoundAccount, value: object) -> None:
        """The address, which has to be one: without it the key would go to the provider's own host."""
        target = "endpoint" if canonical_name(found.provider) == "azure" else "base_url"
        if (name := reference(value)) is not None:
            try:
                value = self._variables.read(name, found.provider, names_of(found.provider), secret=False)
            except RefusedVariableError as error:
                raise RefusedAccountError(f"its address cannot be read: {error}") from None
        if not isinstance(value, str) or not value.strip():
            raise RefusedAccountError("its address is blank, or no text")
        if speaks_of_a_placeholder(value) or "$" in value:
            raise RefusedAccountError("its address is a placeholder, or a reference that nobody resolved")
        found.settings[target] = value.strip()

    def _put(self, found: FoundAccount, target: str, value: object) -> None:
        secret = target in _SECRET
        if (name := reference(value)) is not None:
            try:
                value = self._variables.read(name, found.provider, names_of(found.provider), secret=secret)
            except RefusedVariableError as error:
                if secret:
                    found.unopened[target] = str(error)
                else:
                    found.notes.add(f"{target}: {error}")
                return
        if isinstance(value, bool) or not isinstance(value, str | int):
            found.notes.add(f"left behind: {target}, which is neither text nor a number")
        elif secret:
            found.secrets[target] = Secret(str(value))
        else:
            found.settings[target] = value

    def _as_litellm_does(self, found: FoundAccount, values: Mapping[str, Any]) -> None:
        """Fill in what LiteLLM takes from the provider's own variables: the key, and the address beside that key."""
        based = any(values.get(key) is not None for key in _BASES)
        name = reference(values.get("api_key"))
        spec = self._specs.get(canonical_name(found.provider))
        if found.unopened or spec is None:
            return
        if based and name is not None:
            found.notes.add(f"its key is that of the variable {name}, and it goes where the file says")
        key = spec.field("api_key")
        if based and not found.secrets and key is not None and not _may_lack_key(spec):
            raise RefusedAccountError(
                f"it has an address and no key. Write the key beside it: api_key: os.environ/{key.env_names[0]}"
            )
        if based or (found.secrets and not (key and name in key.env_names)):
            return
        account = self._of_environment(spec)
        if account is None or (found.secrets and account.secrets.get("api_key") != found.secrets.get("api_key")):
            return
        if account.refused:
            raise RefusedAccountError(account.refused)
        self._take(found, account)

    def _of_environment(self, spec: ProviderSpec) -> EnvironmentAccount | None:
        """The account that the provider's variables describe, where one has a key, or none is needed."""
        own = (one for one in self._environment if one.family == spec.name and one.variables)
        return next((one for one in own if one.secrets or _may_lack_key(spec)), None)

    @staticmethod
    def _take(found: FoundAccount, account: EnvironmentAccount) -> None:
        found.provider = account.provider
        found.settings = {**account.settings, **found.settings}
        if not found.secrets and account.secrets:
            found.secrets = dict(account.secrets)
            variable = next(account.variables[name] for name in account.secrets)
            found.name = found.name or f"{variable} (LiteLLM)"
            found.notes.add(
                f"its key is that of the variable {variable}, as LiteLLM takes it where the file names none"
            )
        found.notes |= set(account.notes)


def reference(value: object) -> str | None:
    """What `os.environ/NAME` names, None for another value."""
    return value.removeprefix(REFERENCE).strip() if isinstance(value, str) and value.startswith(REFERENCE) else None


def identity(values: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells two accounts of one provider and address apart: their keys, as the file gives them."""
    return tuple(str(values.get(one)) for one in ("api_key", *_OF_AMAZON) if values.get(one) is not None)


def _target(key: str, provider: str) -> str | None:
    """The field that a parameter fills, None for none."""
    return _SETTINGS.get(key) or _SECRETS.get(key) or (_OF_AMAZON.get(key) if provider == "bedrock" else None)


def _may_lack_key(spec: ProviderSpec) -> bool:
    """Whether an account of the provider may do without a key."""
    groups = spec.required_groups
    return not any({field.name for field in spec.secrets} >= set(group) for group in groups)


def _left(key: str) -> str:
    if not _PARAMETER.fullmatch(key) or not is_variable_name(key):
        return "left behind: a parameter that Keycairn does not take over"
    what = ", a secret in a form that Keycairn does not take over" if _OF_ACCOUNTS.match(key) else ""
    return f"left behind: {key}{what}"


def _account_name(values: Mapping[str, Any], where: str) -> str:
    """What an account that has no name is called: the variable of its key, or where it first stands."""
    name = reference(values.get("api_key"))
    if name is not None and is_variable_name(name):
        return f"{name} (LiteLLM)"
    return f"{where} (LiteLLM)"
