"""What may be made of a provider's variables, so that no key goes to a host its owner did not mean."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from keycairn.domain.env_variable import EnvSwitch, EnvVariable
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.healing import Given, healed, healed_address, speaks_of_a_placeholder
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, SecretForm
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url

_ADDRESS = re.compile(r"BASE|URL|URI|ENDPOINT|HOST|RESOURCE|INSTANCE|PROXY|GATEWAY|DOMAIN")
_BESIDES = re.compile(r"DATABASE|NO_PROXY")
_UNLIKE = re.compile(r"[#'\"`\\$\s]")
"""What dialects of .env files, shells and containers read in ways of their own."""
_QUOTES = frozenset({'""', "''"})
ANYWAY = "Say `--anyway` (`anyway=true`) where that changes nothing."


class FieldReading(Struct, frozen=True):
    """The value of a field, the variables that say it, and those that say another."""

    value: str
    names: tuple[str, ...]
    others: Mapping[str, str] = {}


class Judged(Struct, frozen=True):
    """The provider an account is of, its fields, why it may not come in, and what is told beside.

    No sentence holds a value.
    """

    owner: ProviderSpec
    given: Given
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def filled(value: Secret | None) -> str:
    """The text of a variable, trimmed; "" where it is unset or blank."""
    return "" if value is None else value.reveal().strip()


def read_field(field: FieldSpec, variables: Mapping[str, Secret], off: Collection[str]) -> FieldReading | None:
    """What the variables say of a field, the first declared one first; None where none is set."""
    values: dict[str, str] = {}
    for variable in (*(EnvVariable(name=name) for name in field.env), *field.variables):
        text = filled(variables.get(variable.name))
        if text and variable.name not in off and not variable.says_nothing(text):
            if variable.adds or variable.ends:
                text = healed_address(text).text  # what a path is added to is no call's own address
            values[variable.name] = variable.read(_unquoted(text) if field.kind is FieldKind.URL else text)
    if not values:
        return None
    value = next(iter(values.values()))
    same = tuple(name for name, one in values.items() if _alike(one) == _alike(value))
    return FieldReading(value, same, {name: one for name, one in values.items() if name not in same})


def switched_off(spec: ProviderSpec, variables: Mapping[str, Secret], *, anyway: bool) -> tuple[frozenset[str], str]:
    """The variables that mean something else, and why; none with a reason: all of them do."""
    off: set[str] = set()
    whys: list[str] = []
    for switch in spec.env_switches:
        if not (switch.is_on(filled(variables.get(switch.name))) and not (anyway and switch.asks)):
            continue
        whys.append(_told(switch))
        if not switch.of:
            return frozenset(), _told(switch)
        off |= set(switch.of)
    return frozenset(off), " ".join(whys)


def judged(
    spec: ProviderSpec,
    readings: Mapping[str, FieldReading],
    variables: Mapping[str, Secret],
    *,
    others: Sequence[ProviderSpec],
    elsewhere: Mapping[str, Secret],
    anyway: bool,
) -> Judged:
    """What may be made of the readings of a provider's fields."""
    problems, notes = [*_disagreements(spec, readings)], [*_notes(spec, readings, variables)]
    keyed = any(field.name in readings for field in spec.secrets)
    problems += _unusable_bases(spec, readings, variables, keyed=keyed)
    if keyed:
        asked = [] if anyway else unread_addresses(spec, elsewhere, others)
        problems += _other_places(spec, readings, variables, elsewhere, asked)
    if not anyway:
        problems += _asked(spec, readings, variables, others)
    owner = spec if problems else _owner(spec, readings, others)
    if owner is None:
        owner, problems = spec, [f"It is no account of {spec.label}, and {spec.elsewhere} is not loaded."]
    problems += _others_keys(spec, readings, others, anyway=anyway)
    secrets = {field.name: Secret(readings[field.name].value) for field in owner.secrets if field.name in readings}
    settings = {field.name: readings[field.name].value for field in owner.settings if field.name in readings}
    try:
        given = healed(owner, settings, secrets, before={}, elsewhere={})
    except InvalidInputError as error:
        name = next(iter(error.fields), "")
        why = f"{readings[name].names[0]}: {error.fields[name]}." if name in readings else str(error)
        return Judged(owner, Given(settings, secrets, {}), tuple(problems or [why]), tuple(notes))
    problems += _unlike_keys(owner, readings, given)
    said = [f"{readings[name].names[0]}: {note}" for name, note in given.notes.items() if name in readings]
    return Judged(owner, given, tuple(problems), (*notes, *said))


def unread_addresses(spec: ProviderSpec, variables: Mapping[str, Secret], others: Sequence[ProviderSpec]) -> list[str]:
    """The variables of its families that are set, look like an address, and are declared by nobody."""
    declared = {name for one in (spec, *others) for name in one.env_names}
    return sorted(
        name
        for name, value in variables.items()
        if filled(value) and name not in declared and _looks_like_one(spec, name, others)
    )


def _looks_like_one(spec: ProviderSpec, name: str, others: Sequence[ProviderSpec]) -> bool:
    plain = name.upper()
    family = max((one for one in spec.families if plain.startswith(f"{one}_")), key=len, default="")
    if not family or not _ADDRESS.search(_BESIDES.sub("", plain[len(family) :])):
        return False
    nearer = (one for other in others if other.name != spec.name for one in other.families if len(one) > len(family))
    if any(plain.startswith(f"{one}_") for one in nearer):
        return False
    return not any(plain == one or (one.endswith("*") and plain.startswith(one[:-1])) for one in spec.env_besides)


def _told(switch: EnvSwitch) -> str:
    return f"{switch.name} is set: {switch.why}." + (f" {ANYWAY}" if switch.asks else "")


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) > 1 and text[0] + text[-1] in _QUOTES else text


def _alike(text: str) -> str:
    return _unquoted(text).rstrip("/")


def _bases(spec: ProviderSpec, readings: Mapping[str, FieldReading]) -> Iterator[tuple[FieldSpec, FieldReading]]:
    return ((field, readings[field.name]) for field in spec.places() if field.name in readings)


def _urls(spec: ProviderSpec, readings: Mapping[str, FieldReading]) -> Iterator[tuple[FieldSpec, FieldReading]]:
    return ((field, reading) for field, reading in _bases(spec, readings) if field.kind is FieldKind.URL)


def _origin(text: str) -> str:
    """The origin of an address, "" where it is none."""
    try:
        return parse_url(_alike(text)).origin
    except InvalidInputError:
        return ""


def _host(text: str) -> str:
    try:
        return parse_url(_alike(text)).host
    except InvalidInputError:
        return ""


def _disagreements(spec: ProviderSpec, readings: Mapping[str, FieldReading]) -> Iterator[str]:
    places = {field.name for field in spec.places()}
    for group in spec.any_of:
        secrets = [field.name for field in spec.secrets if field.name in group]
        both = [readings[name].names[0] for name in secrets if name in readings]
        if len(secrets) == len(group) and len(both) > 1:
            yield f"{' and '.join(both)} are different keys, and programs disagree on which counts. Leave one of them."
    for field in spec.fields:
        reading = readings.get(field.name)
        if reading is None or not reading.others:
            continue
        differ = [*reading.others]
        if field.kind is FieldKind.URL:
            differ = [name for name, url in reading.others.items() if _origin(url) != _origin(reading.value)]
        elif not field.secret and field.name not in places:
            continue
        if differ:
            named = " and ".join([reading.names[0], *differ])
            what = "keys" if field.secret else "addresses"
            yield f"{named} are different {what}, and programs disagree on which counts. Leave one of them."


def _notes(spec: ProviderSpec, readings: Mapping[str, FieldReading], variables: Mapping[str, Secret]) -> Iterator[str]:
    for reading in readings.values():
        if reading.others:
            yield f"{reading.names[0]} was taken; {', '.join(reading.others)} says another"
    for family in spec.families:
        if filled(variables.get(f"{family}_CUSTOM_HEADERS")):
            yield f"left behind: {family}_CUSTOM_HEADERS"


def _unusable_bases(
    spec: ProviderSpec, readings: Mapping[str, FieldReading], variables: Mapping[str, Secret], *, keyed: bool
) -> Iterator[str]:
    for field, reading in _urls(spec, readings):
        text = _alike(reading.value)
        why = ""
        if _UNLIKE.search(text) or text.startswith("os.environ/"):
            why = "has a reference that was not resolved, or a character that programs read in different ways"
        elif speaks_of_a_placeholder(text):
            why = "is a placeholder"
        elif not _origin(text) and not _pasted(text):
            why = "is no http or https URL"
        if why:
            yield f"{reading.names[0]} {why}; without its address {field.label} the key goes nowhere."
    urls = [field for field in spec.places() if field.kind is FieldKind.URL]
    if keyed and not any(field.name in readings for field in urls):
        for name in (name for field in urls for name in field.env_names):
            value = variables.get(name)
            if value is not None and not filled(value):
                yield f"{name} is set and blank, which some programs take for an address. Set or unset it."


def _pasted(text: str) -> bool:
    """Whether an address has a query, which the door may understand."""
    return bool(_origin(text.partition("?")[0]))


def _other_places(
    spec: ProviderSpec,
    readings: Mapping[str, FieldReading],
    variables: Mapping[str, Secret],
    elsewhere: Mapping[str, Secret],
    unread: Sequence[str],
) -> Iterator[str]:
    """An address of the family in another place than the key: a program may well read both."""
    theirs = ((field, read_field(field, elsewhere, frozenset())) for field in spec.places())
    names = [
        name
        for field, reading in theirs
        if reading is not None and (field.name not in readings or readings[field.name].value != reading.value)
        for name in (*reading.names, *reading.others)
    ]
    for name in (*names, *unread):
        if not filled(variables.get(name)):
            yield f"{name} is set, but in another place than the key. Put both into one."


def _asked(
    spec: ProviderSpec,
    readings: Mapping[str, FieldReading],
    variables: Mapping[str, Secret],
    others: Sequence[ProviderSpec],
) -> Iterator[str]:
    """What only the owner can answer."""
    if unread := unread_addresses(spec, variables, others):
        yield f"Set, and not understood: {', '.join(unread)}. Perhaps the key is for another host. {ANYWAY}"
    if spec.keeps_to_hosts:
        for _, reading in _urls(spec, readings):
            host = _host(reading.value.partition("?")[0])
            if host and not spec.owns(host):
                yield f"{reading.names[0]} leads to none of the hosts of {spec.label}. {ANYWAY}"


def _owner(
    spec: ProviderSpec, readings: Mapping[str, FieldReading], others: Sequence[ProviderSpec]
) -> ProviderSpec | None:
    """Whose account it is: another provider's where the address is no host of this one; None where that is unknown."""
    foreign = any(not spec.owns(_host(reading.value.partition("?")[0])) for _, reading in _urls(spec, readings))
    if not spec.elsewhere or not foreign or not others:
        return spec
    return next((other for other in others if other.name == spec.elsewhere), None)


def _others_keys(
    spec: ProviderSpec, readings: Mapping[str, FieldReading], others: Sequence[ProviderSpec], *, anyway: bool
) -> Iterator[str]:
    """Keys that begin as another provider's, and would not go to that one."""
    hosts = [_host(reading.value) for _, reading in _urls(spec, readings)]
    for field in spec.secrets if spec.hosts else ():
        reading = readings.get(field.name)
        if reading is None or any(_alike(reading.value).startswith(start) for start in spec.key_prefixes):
            continue
        for other in others:
            theirs = other.name != spec.name and any(
                _alike(reading.value).startswith(one) for one in other.key_prefixes
            )
            if theirs and not (any(map(other.owns, hosts)) or (hosts and anyway)):
                yield f"{reading.names[0]} begins as keys of {other.label} do, and would go to another host."


def _unlike_keys(owner: ProviderSpec, readings: Mapping[str, FieldReading], given: Given) -> Iterator[str]:
    for field in owner.secrets:
        if field.holds is SecretForm.KEY and _UNLIKE.search(filled(given.secrets.get(field.name))):
            yield f"{readings[field.name].names[0]} has a #, $, \\ or quote, which programs read in different ways."
