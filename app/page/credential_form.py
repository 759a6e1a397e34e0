"""The form of a credential: drawn from what its provider declares, and read back by the same."""

from decimal import Decimal
from hashlib import sha256

from msgspec import Struct

from keycairn.app.page.form_reader import FormReader, written
from keycairn.app.page.forms import BETWEEN, SECRET, Difference, PageForm
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError, SecretReentryRequiredError
from keycairn.domain.limits import LARGEST_LIMIT, Limits
from keycairn.domain.options import Options
from keycairn.domain.provider import FieldKind, ProviderSpec, SecretForm, SettingValue
from keycairn.domain.secret import Secret

SETTING = "setting:"
CHOICE = "do:"
"""Begins the field that says what becomes of a stored secret: keep, replace or clear."""
MARK = "mark:"
COUNTS = ("concurrent", "requests_per_minute", "tokens_per_day")
MONEY = {"money_per_day": "micros_per_day", "money_per_month": "micros_per_month"}
TIMES = ("first_byte_timeout", "idle_timeout", "total_timeout")
MICROS = 1_000_000
SHOWN_ALTERNATIVES = 2
"""Of fields of which one is needed: how many are shown at once, besides those in use."""
REENTER = "enter it again here: a key is bound to the host it goes to, and that changes"
LABELS = {
    "name": "Name",
    "modalities": "For",
    "limits.concurrent": "Calls at one time",
    "limits.requests_per_minute": "Calls a minute",
    "limits.tokens_per_day": "Tokens a day",
    "limits.money_per_day": "Money a day",
    "limits.money_per_month": "Money a month",
    "options.first_byte_timeout": "Seconds until the first byte",
    "options.idle_timeout": "Seconds between two bytes",
    "options.total_timeout": "Seconds for a whole call",
    "options.headers": "Headers of every call",
    "options.ca_certificates": "Certificates to trust",
    "options.any_model": "Pass on models that are not registered",
}
"""What every credential has besides what its provider declares."""


class FormField(Struct, frozen=True, kw_only=True):
    """One declared field as it is drawn. `stored`: a secret that there is; `clears`: it may be removed."""

    key: str
    label: str
    help: str
    required: bool
    secret: bool = False
    long: bool = False
    number: bool = False
    stored: bool = False
    clears: bool = False
    default: str = ""
    mark: str = ""
    choices: tuple[str, ...] = ()


def fields_of(spec: ProviderSpec, credential: Credential | None = None) -> tuple[list[FormField], list[FormField]]:
    """The fields that are needed, or in use, and the rest."""
    sealed = credential.sealed if credential else {}
    settings = credential.settings if credential else {}
    fields = spec.ordered_fields
    needed = {field.name for field in spec.secrets[:1]}
    for group in spec.required_groups:
        needed |= {*[field.name for field in fields if field.name in group][:SHOWN_ALTERNATIVES]}
    first: list[FormField] = []
    rest: list[FormField] = []
    for field in fields:
        made = FormField(
            key=f"{SECRET if field.secret else SETTING}{field.name}",
            label=field.label,
            help=field.help,
            required=field.required,
            secret=field.secret,
            long=field.multi_line or field.holds is SecretForm.SERVICE_ACCOUNT,
            choices=field.choices,
            number=field.kind is FieldKind.INTEGER,
            stored=field.name in sealed,
            clears=not field.required,
            default="" if field.default is None else str(field.default),
            mark=mark_of(credential, field.name) if credential else "",
        )
        (first if field.name in {*needed, *settings, *sealed} else rest).append(made)
    return first, rest


def mark_of(credential: Credential, secret: str) -> str:
    """What tells a stored secret from the next one, and nothing of it; "" without one."""
    print = credential.fingerprints.get(secret) or credential.sealed.get(secret, "")
    return sha256(f"{credential.id} {print}".encode()).hexdigest()[:16] if print else ""


def values_of(spec: ProviderSpec, credential: Credential) -> dict[str, str]:
    """What the form of a stored credential holds, by the names of its fields."""
    limits, options = credential.limits, credential.options
    values = {"name": credential.name, "version": str(credential.version)}
    values |= {f"{SETTING}{field.name}": str(credential.settings.get(field.name, "")) for field in spec.settings}
    values |= {f"limits.{name}": written(getattr(limits, name)) for name in COUNTS}
    values |= {f"limits.{name}": _money(getattr(limits, micros)) for name, micros in MONEY.items()}
    values |= {f"options.{name}": written(getattr(options, name)) for name in TIMES}
    values["options.headers"] = "\n".join(f"{name}: {value}" for name, value in options.headers.items())
    values["options.ca_certificates"] = options.ca_certificates
    values["options.any_model"] = "on" if options.any_model else ""
    values["modalities"] = BETWEEN.join(credential.modalities)
    return values


def patch_of(spec: ProviderSpec, form: PageForm, before: Credential | None) -> CredentialPatch:
    """The change that a form asks for. Raises InvalidInputError, which names the fields as the form does."""
    reader = FormReader(form)
    settings: dict[str, SettingValue | None] = {
        field.name: form.meant(f"{SETTING}{field.name}") or None for field in spec.settings
    }
    if before is None:
        settings = {name: value for name, value in settings.items() if value is not None}
    secrets: dict[str, Secret | None] = {}
    for field in spec.secrets:
        given, choice = form.secret(field.name), form.text(f"{CHOICE}{field.name}")
        if choice not in {"", "keep", "replace", "clear"}:
            reader.wrong[f"{SECRET}{field.name}"] = "choose to keep, to replace or to clear it"
        elif choice == "clear":
            secrets[field.name] = None
        elif given is not None:
            secrets[field.name] = given
        elif choice == "replace":
            reader.wrong[f"{SECRET}{field.name}"] = "enter the new one, or choose to keep the stored one"
    chosen = reader.some_of("modalities", spec.modalities)
    if not chosen:
        reader.wrong["modalities"] = "tick at least one"
    limits, options = _limits(reader), _options(reader)
    reader.check()
    return CredentialPatch(
        name=form.meant("name"),
        modalities=tuple(chosen),
        settings=settings,
        secrets=secrets,
        limits=limits,
        options=options,
    )


def form_errors(spec: ProviderSpec, error: InvalidInputError) -> dict[str, str]:
    """The error's words by the fields of the form; what belongs to none stands under ""."""
    secrets = {field.name for field in spec.secrets}
    settings = {field.name for field in spec.settings}
    found: dict[str, str] = {}
    for name, why in error.fields.items():
        key = name
        if isinstance(error, SecretReentryRequiredError):
            why = REENTER  # noqa: PLW2901  # in the words of a form
        if name in secrets:
            key = f"{SECRET}{name}"
        elif name in settings:
            key = f"{SETTING}{name}"
        elif name.startswith("limits.micros"):
            key = f"limits.{next(money for money, micros in MONEY.items() if name.endswith(micros))}"
            why = f"must be from {_money(1)} to {LARGEST_LIMIT // MICROS}"  # noqa: PLW2901  # in the form's unit
        found[key] = why
    return found or {"": str(error)}


def labels_of(spec: ProviderSpec) -> dict[str, str]:
    """The labels of the fields, for the summary of errors."""
    labels = {f"{SECRET if field.secret else SETTING}{field.name}": field.label for field in spec.fields}
    return {**labels, **LABELS}


def conflicts(spec: ProviderSpec, form: PageForm, theirs: Credential) -> tuple[dict[str, Difference], list[str]]:
    """What differs between a form and what was saved meanwhile, by field; and the secrets that were replaced."""
    stored, was = values_of(spec, theirs), form.opened_with()
    found: dict[str, Difference] = {}
    for key, other in stored.items():
        mine = BETWEEN.join(form.ticks(key)) if key == "modalities" else form.again(key)
        if key != "version" and mine != other:
            found[key] = Difference(mine, other, was.get(key) != mine)
    replaced = [
        field.label for field in spec.secrets if form.text(f"{MARK}{field.name}") != mark_of(theirs, field.name)
    ]
    return found, replaced


def _money(micros: int | None) -> str:
    return "" if micros is None else f"{Decimal(micros) / MICROS:f}"


def _limits(reader: FormReader) -> Limits:
    counts = {name: reader.whole(f"limits.{name}") for name in COUNTS}
    money = {}
    for name, micros in MONEY.items():
        amount = reader.number(f"limits.{name}")
        money[micros] = None if amount is None else round(amount * MICROS)
    return Limits(**counts, **money)


def _options(reader: FormReader) -> Options:
    form = reader.form
    headers: dict[str, str] = {}
    for line in form.meant("options.headers").splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and (not colon or not name.strip()):
            reader.wrong["options.headers"] = "each line needs a name, a colon and a value"
        elif line.strip() and name.strip().lower() in {one.lower() for one in headers}:
            reader.wrong["options.headers"] = "a name stands there twice"
        elif line.strip():
            headers[name.strip()] = value.strip()
    return Options(
        any_model=bool(form.ticks("options.any_model")),
        first_byte_timeout=reader.number("options.first_byte_timeout"),
        idle_timeout=reader.number("options.idle_timeout"),
        total_timeout=reader.number("options.total_timeout"),
        headers=headers,
        ca_certificates=form.meant("options.ca_certificates"),
    )
