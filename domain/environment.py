"""Reading credentials out of environment variables. The mapping itself is in each provider's spec."""

from collections.abc import Mapping

from msgspec import Struct

from keycairn.domain.provider import ProviderSpec
from keycairn.domain.secret import Secret


class EnvironmentAccount(Struct, frozen=True, kw_only=True):
    """What the environment says about one provider.

    `variables` maps each field found to the variable it came from. `missing` names, a group each, the variables one of
    which is needed still; the account is `configured` when something was found and nothing is missing.
    """

    provider: str
    settings: Mapping[str, str] = {}
    secrets: Mapping[str, Secret] = {}
    variables: Mapping[str, str] = {}
    missing: tuple[tuple[str, ...], ...] = ()

    @property
    def configured(self) -> bool:
        """Whether a credential can be made of it."""
        return bool(self.variables) and not self.missing


def read_account(spec: ProviderSpec, variables: Mapping[str, Secret]) -> EnvironmentAccount:
    """The account of `spec` that `variables` describe. A blank variable counts as unset; values are trimmed."""
    found: dict[str, str] = {}
    settings: dict[str, str] = {}
    secrets: dict[str, Secret] = {}
    for field in spec.fields:
        name = next((name for name in field.env if _filled(variables.get(name))), None)
        if name is None:
            continue
        found[field.name] = name
        value = variables[name].reveal().strip()
        if field.secret:
            secrets[field.name] = Secret(value)
        else:
            settings[field.name] = value
    wanted = (*spec.required_groups, *spec.env_requires)
    missing = tuple(dict.fromkeys(_variables_of(spec, group) for group in wanted if found.keys().isdisjoint(group)))
    return EnvironmentAccount(
        provider=spec.name, settings=settings, secrets=secrets, variables=found, missing=tuple(filter(None, missing))
    )


def _filled(value: Secret | None) -> bool:
    return value is not None and bool(value.reveal().strip())


def _variables_of(spec: ProviderSpec, group: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for field in spec.fields if field.name in group for name in field.env)
