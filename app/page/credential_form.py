"""The form of a credential: drawn from what its provider declares, and read back by the same."""

from hashlib import sha256
from typing import Any

from msgspec import Struct

from keycairn.app.page.forms import SECRET, PageForm
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.options import Options
from keycairn.domain.provider import FieldKind, ProviderSpec, SecretForm, SettingValue
from keycairn.domain.secret import Secret

SETTING = "setting:"
CHOICE = "do:"
"""Begins the field that says what becomes of a stored secret: keep, replace or clear."""
TAKE, THEIRS, MARK = "take:", "theirs:", "mark:"
COUNTS = ("concurrent", "requests_per_minute", "tokens_per_day")
MONEY = {"money_per_day": "micros_per_day", "money_per_month": "micros_per_month"}
TIMES = ("first_byte_timeout", "idle_timeout", "total_timeout")
MICROS = 1_000_000


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
    needed = {name for group in spec.required_groups for name in group}
    first: list[FormField] = []
    rest: list[FormField] = []
    for field in spec.ordered_fields:
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
        (first if field.secret or field.name in needed or field.name in settings else rest).append(made)
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
    values |= {f"limits.{name}": _shown(getattr(limits, name)) for name in COUNTS}
    values |= {f"limits.{name}": _money(getattr(limits, micros)) for name, micros in MONEY.items()}
    values |= {f"options.{name}": _shown(getattr(options, name)) for name in TIMES}
    values["options.headers"] = "\n".join(f"{name}: {value}" for name, value in options.headers.items())
    values["options.ca_certificates"] = options.ca_certificates
    if options.any_model:
        values["options.any_model"] = "on"
    return values


def text_of(form: PageForm, key: str) -> str:
    """What is meant for a field: where two people changed it, the text that was chosen."""
    return form.text(f"{THEIRS}{key}" if form.text(f"{TAKE}{key}") == "theirs" else key)


def patch_of(spec: ProviderSpec, form: PageForm, before: Credential | None) -> CredentialPatch:
    """The change that a form asks for. Raises InvalidInputError, which names the fields as the form does."""
    settings: dict[str, SettingValue | None] = {
        field.name: text_of(form, f"{SETTING}{field.name}") or None for field in spec.settings
    }
    if before is None:
        settings = {name: value for name, value in settings.items() if value is not None}
    secrets: dict[str, Secret | None] = {}
    for field in spec.secrets:
        given, choice = form.secret(field.name), form.text(f"{CHOICE}{field.name}")
        if choice == "clear":
            secrets[field.name] = None
        elif given is not None:
            secrets[field.name] = given
        elif choice == "replace":
            raise InvalidInputError(
                "A new key was not entered.", {field.name: "enter the new one, or choose to keep the stored one"}
            )
    chosen = [Modality(one) for one in form.all("modalities") if one in set(Modality)]
    return CredentialPatch(
        name=text_of(form, "name"),
        modalities=tuple(chosen) or None,
        settings=settings,
        secrets=secrets,
        limits=_limits(form),
        options=_options(form),
    )


def form_errors(spec: ProviderSpec, error: InvalidInputError) -> dict[str, str]:
    """The error's words by the fields of the form; what belongs to none stands under ""."""
    secrets = {field.name for field in spec.secrets}
    settings = {field.name for field in spec.settings}
    found: dict[str, str] = {}
    for name, why in error.fields.items():
        key = name
        if name in secrets:
            key = f"{SECRET}{name}"
        elif name in settings:
            key = f"{SETTING}{name}"
        elif name.startswith("limits.micros"):
            key = f"limits.{next(money for money, micros in MONEY.items() if name.endswith(micros))}"
        found[key] = why
    return found or {"": str(error)}


def labels_of(spec: ProviderSpec) -> dict[str, str]:
    """The labels of the fields, for the summary of errors."""
    labels = {f"{SECRET if field.secret else SETTING}{field.name}": field.label for field in spec.fields}
    return {**labels, "name": "Name", "options.headers": "Headers", "options.ca_certificates": "Certificates"}


def conflicts(spec: ProviderSpec, form: PageForm, theirs: Credential) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """What differs between a form and what was saved meanwhile: texts, mine and theirs, and secrets replaced."""
    stored = values_of(spec, theirs)
    keys = ["name", *(f"{SETTING}{field.name}" for field in spec.settings), "options.headers"]
    texts = {key: (form.again(key), stored[key]) for key in keys if form.text(key) != stored[key]}
    replaced = [
        field.label for field in spec.secrets if form.text(f"{MARK}{field.name}") != mark_of(theirs, field.name)
    ]
    return texts, replaced


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _money(micros: int | None) -> str:
    return "" if micros is None else f"{micros / MICROS:.6f}".rstrip("0").rstrip(".")


def _limits(form: PageForm) -> Limits:
    counts = {name: _whole(form, f"limits.{name}") for name in COUNTS}
    money = {}
    for name, micros in MONEY.items():
        amount = _number(form, f"limits.{name}")
        money[micros] = None if amount is None else round(amount * MICROS)
    return Limits(**counts, **money)


def _options(form: PageForm) -> Options:
    headers: dict[str, str] = {}
    for line in text_of(form, "options.headers").splitlines():
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise InvalidInputError("A header is a name, a colon and a value.", {"options.headers": "needs a colon"})
        headers[name.strip()] = value.strip()
    return Options(
        any_model=form.ticked("options.any_model"),
        first_byte_timeout=_number(form, "options.first_byte_timeout"),
        idle_timeout=_number(form, "options.idle_timeout"),
        total_timeout=_number(form, "options.total_timeout"),
        headers=headers,
        ca_certificates=form.text("options.ca_certificates"),
    )


def _whole(form: PageForm, key: str) -> int | None:
    number = _number(form, key)
    if number is None:
        return None
    if number != int(number):
        raise InvalidInputError("A whole number is needed.", {key: "must be a whole number"})
    return int(number)


def _number(form: PageForm, key: str) -> float | None:
    text = form.text(key).replace(" ", "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e15:
        raise InvalidInputError("A number is needed.", {key: "must be a number, such as 60"})
    return number
