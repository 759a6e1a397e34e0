"""Reading credentials out of environment variables. What each of them means is in the providers' specs."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from keycairn.domain.env_rules import judged, read_field, switched_off
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.secret import Secret


class Place(Struct, frozen=True):
    """Where variables stand together, such as one file: a key goes to no address of another place."""

    name: str
    variables: Mapping[str, Secret]

    def filled(self, name: str) -> bool:
        """Whether a variable has a value here."""
        value = self.variables.get(name)
        return value is not None and bool(value.reveal().strip())


class EnvironmentAccount(Struct, frozen=True, kw_only=True):
    """What variables say about one account.

    `family` is the provider whose variables they are, `provider` the one the account is of: another where the address
    is of another's host. `variables` maps each field found to the variable it came from, `agreeing` to all that say the
    same. `missing` names, a group each, the variables one of which is needed still. `refused` says why no credential
    may be made of it, `notes` what is told beside.
    """

    provider: str
    family: str = ""
    settings: Mapping[str, str] = {}
    secrets: Mapping[str, Secret] = {}
    variables: Mapping[str, str] = {}
    agreeing: Mapping[str, tuple[str, ...]] = {}
    missing: tuple[tuple[str, ...], ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = ()
    number: int = 0
    """Which one it is of those of its provider, from 1; 0 where nobody counted."""

    @property
    def configured(self) -> bool:
        """Whether all is there that a credential needs."""
        return bool(self.variables) and not self.missing

    @property
    def usable(self) -> bool:
        """Whether a credential can be made of it."""
        return self.configured and not self.refused

    @property
    def why_not(self) -> str:
        """Why no credential can be made of it; "" where one can, or where nothing is set."""
        if self.refused or not self.missing:
            return self.refused
        return "incomplete, also set: " + ", ".join(" or ".join(group) for group in self.missing)


def read_account(
    spec: ProviderSpec,
    variables: Mapping[str, Secret],
    *,
    others: Sequence[ProviderSpec] = (),
    elsewhere: Mapping[str, Secret] | None = None,
    anyway: bool = False,
) -> EnvironmentAccount:
    """The account of `spec` that `variables` describe. A blank variable counts as unset; values are trimmed.

    `others` are the providers that are known besides, `elsewhere` the variables of other places. `anyway`: the owner
    says that what is not understood changes nothing.
    """
    off, why_off = switched_off(spec, {**(elsewhere or {}), **variables}, anyway=anyway)
    readings = {
        field.name: reading for field in spec.fields if (reading := read_field(field, variables, off)) is not None
    }
    if not readings:
        return _unread(spec, variables, why_off)
    wanted = (*spec.required_groups, *spec.env_requires)
    missing = dict.fromkeys(_variables_of(spec, group) for group in wanted if readings.keys().isdisjoint(group))
    judgement = judged(spec, readings, variables, others=others, elsewhere=elsewhere or {}, anyway=anyway)
    owner, given = judgement.owner, judgement.given
    left = [reading.names[0] for name, reading in readings.items() if owner.field(name) is None]
    names = {name: reading.names for name, reading in readings.items() if owner.field(name) is not None}
    return EnvironmentAccount(
        provider=owner.name,
        family=spec.name,
        settings={name: str(value) for name, value in given.settings.items()},
        secrets={name: secret for name, secret in given.secrets.items() if secret is not None},
        variables={name: known[0] for name, known in names.items()},
        agreeing=names,
        missing=tuple(filter(None, missing)),
        refused=" ".join([*([why_off] if why_off and not off else []), *judgement.problems]),
        notes=(*judgement.notes, *(f"left behind: {name}, which {owner.label} does not have" for name in left)),
    )


def _unread(spec: ProviderSpec, variables: Mapping[str, Secret], why: str) -> EnvironmentAccount:
    """Nothing was read: there is nothing, or a switch says that it means something else."""
    plain = {field.name: reading for field in spec.fields if (reading := read_field(field, variables, frozenset()))}
    told = {name: reading.names[0] for name, reading in plain.items()} if why else {}
    return EnvironmentAccount(provider=spec.name, family=spec.name, variables=told, refused=why if told else "")


def _variables_of(spec: ProviderSpec, group: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for field in spec.fields if field.name in group for name in field.env_names)
