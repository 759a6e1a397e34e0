"""All accounts that variables describe, several of one provider among them, and the rows they come in as."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from keycairn.domain.env_rules import filled
from keycairn.domain.environment import EnvironmentAccount, Place, read_account
from keycairn.domain.incoming import IncomingCredential, Refused
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, SecretForm
from keycairn.domain.secret import Secret
from keycairn.domain.token import token_key

LEADS_HERE = "its key is a Keycairn token: these variables lead an application here, and are no account of a provider"
SEPARATOR = ";"
"""Between several keys, or addresses, in one variable, as Open WebUI has them."""
_NOT_PAIRED = "several keys need as many addresses, in the same order, with ; between. Give each its own import."
_NUMBERED = "numbered keys are not read, for nobody says which address is whose. Give each its own import."


def read_accounts(
    specs: Sequence[ProviderSpec], places: Sequence[Place], *, anyway: bool = False
) -> list[EnvironmentAccount]:
    """At least one account of each provider, in the order of `specs`; most are not configured.

    A key is read with the addresses of its own place alone, the first that has one of the provider's keys.
    """
    found = [_not_ours(account) for spec in specs for account in _of_provider(spec, specs, places, anyway=anyway)]
    counted: Counter[str] = Counter()
    for at, account in enumerate(found):
        counted[account.provider] += account.configured
        found[at] = replace(account, number=counted[account.provider])
    return found


def incoming(
    account: EnvironmentAccount, *, alone: bool = False, migrated: bool = False
) -> IncomingCredential | Refused:
    """The row an account comes in as, or why it stays out. `migrated`: the audit shall have its variables."""
    where = f"{account.provider}: {', '.join(account.variables.values())}"
    if not account.usable:
        return Refused(where=where, reason=account.why_not)
    return IncomingCredential(
        where=where,
        provider=account.provider,
        name=account.provider if account.number < 2 else f"{account.provider}-{account.number}",  # the second
        settings=account.settings,
        secrets=account.secrets,
        variables=account.variables if migrated else {},
        default=True,
        adopts=True,
        alone=alone,
        notes=account.notes,
    )


def _not_ours(account: EnvironmentAccount) -> EnvironmentAccount:
    """The account; refused where its secret is a token of ours, with which an application calls Keycairn."""
    if any(token_key(secret) is not None for secret in account.secrets.values()):
        return replace(account, refused=LEADS_HERE)
    return account


def _of_provider(
    spec: ProviderSpec, specs: Sequence[ProviderSpec], places: Sequence[Place], *, anyway: bool
) -> Iterator[EnvironmentAccount]:
    place = _place_of(spec, places)
    others = [one for one in specs if one.name != spec.name]
    elsewhere = _merged([one for one in places if one is not place])
    bound = {name for field in (*spec.secrets, *spec.places()) for name in field.env_names}
    free = {name for name in spec.env_names if name not in bound}
    beside = {name: value for name, value in elsewhere.items() if name in free}
    listed = list(_listed(spec, {**beside, **place.variables}))
    taken = {name for one in listed for name in one}
    variables = {name: value for name, value in {**beside, **place.variables}.items() if name not in taken}
    found = read_account(spec, variables, others=others, elsewhere=elsewhere, anyway=anyway)
    keyless = not any(field.required for field in spec.secrets)
    if found.secrets or not listed or (found.variables and keyless):
        yield _shadowed(found, places)
    for names in listed:
        yield from _paired(spec, names, place, variables, others, anyway=anyway)


def _place_of(spec: ProviderSpec, places: Sequence[Place]) -> Place:
    """The first place with one of the provider's keys, else with any of its variables."""
    keys = [name for field in spec.secrets for one in field.env_names for name in (one, f"{one}S")]
    for names in (keys, spec.env_names):
        for place in places:
            if any(map(place.filled, names)):
                return place
    return places[0] if places else Place("", {})


def _merged(places: Sequence[Place]) -> dict[str, Secret]:
    merged: dict[str, Secret] = {}
    for place in reversed(places):
        merged |= place.variables
    return merged


def _shadowed(account: EnvironmentAccount, places: Sequence[Place]) -> EnvironmentAccount:
    """The account, which speaks for no variable that another place has with another value."""

    def alone(name: str) -> bool:
        return len({filled(place.variables.get(name)) for place in places if place.filled(name)}) <= 1

    agreeing = {field: tuple(filter(alone, names)) for field, names in account.agreeing.items()}
    return replace(account, agreeing=agreeing)


def _key_field(spec: ProviderSpec) -> FieldSpec | None:
    return next((field for field in spec.secrets if field.holds is SecretForm.KEY), None)


def _base_field(spec: ProviderSpec) -> FieldSpec | None:
    return next((field for field in spec.places() if field.kind is FieldKind.URL), None)


def _listed(spec: ProviderSpec, variables: Mapping[str, Secret]) -> Iterator[tuple[str, ...]]:
    """Variables that hold several accounts: one of keys with one of addresses, one of addresses, or numbered keys."""
    key, base = _key_field(spec), _base_field(spec)
    bases = [f"{name}S" for name in base.env_names if filled(variables.get(f"{name}S"))] if base else []
    keys = [f"{name}S" for name in key.env_names if filled(variables.get(f"{name}S"))] if key else []
    if key and bases and not keys:
        keys = [name for name in key.env_names if filled(variables.get(name))]
    if keys or (bases and (key is None or not key.required)):
        yield (*keys, *bases)
    names = "|".join(map(re.escape, key.env_names)) if key else ""
    numbered = sorted(name for name in variables if names and re.fullmatch(rf"(?:{names})_[0-9]+", name, re.ASCII))
    yield from ((name,) for name in numbered if filled(variables[name]))


def _paired(
    spec: ProviderSpec,
    names: tuple[str, ...],
    place: Place,
    variables: Mapping[str, Secret],
    others: Sequence[ProviderSpec],
    *,
    anyway: bool,
) -> Iterator[EnvironmentAccount]:
    """The accounts of a list, each read by itself; one that is refused where the list can be read in several ways."""
    key, base = _key_field(spec), _base_field(spec)
    keys = next((name for name in names if key and {name, name.removesuffix("S")} & {*key.env_names}), "")
    urls = next((name for name in names if base and name.removesuffix("S") in base.env_names), "")
    told = {field.name: name for field, name in ((key, keys), (base, urls)) if field is not None and name}
    if not told:
        yield EnvironmentAccount(
            provider=spec.name, family=spec.name, variables={"api_key": names[0]}, refused=f"{names[0]}: {_NUMBERED}"
        )
        return
    key_list = [part.strip() for part in filled(place.variables.get(keys)).split(SEPARATOR)] if keys else []
    url_list = [part.strip() for part in filled(place.variables.get(urls)).split(SEPARATOR)] if urls else []
    pairs = [*zip(key_list or [""] * len(url_list), url_list or [""] * len(key_list), strict=False)]
    uneven = len(key_list) != len(url_list) and keys and (urls or len(key_list) > 1)
    if uneven or len(names) > 2 or (keys and not all(key_list)):
        why = f"{' and '.join(names)}: {_NOT_PAIRED}"
        yield EnvironmentAccount(provider=spec.name, family=spec.name, variables=told, refused=why)
        return
    declared = {name for field in (key, base) if field is not None for name in field.env_names}
    rest = {name: value for name, value in variables.items() if name not in declared or not urls}
    for one, url in pairs:
        own = dict(rest)
        if key is not None and one:
            own = {name: value for name, value in own.items() if name not in key.env_names}
            own[key.env_names[0]] = Secret(one)
        if base is not None and url:
            own[base.env_names[0]] = Secret(url)
        found = read_account(spec, own, others=others, anyway=anyway)
        yield replace(
            found, variables={**found.variables, **{n: v for n, v in told.items() if n in found.variables}}, agreeing={}
        )
