"""The form of a model: what it holds, and the change it asks for."""

from msgspec import UNSET

from keycairn.app.page.form_reader import FormReader, written
from keycairn.app.page.forms import Difference, PageForm
from keycairn.app.services.models import ModelPatch
from keycairn.domain.errors import InvalidIdError
from keycairn.domain.ids import CredentialId, credential_id
from keycairn.domain.model import Model
from keycairn.domain.price import Price

PRICES = Price.__struct_fields__
LABELS = {
    "name": "Name",
    "provider_model": "Sent to the provider as",
    "credential": "Credential",
    "priority": "Priority",
    "weight": "Weight",
    "context_length": "Context length",
    "price.input": "Price of input",
    "price.cached": "Price of cached input",
    "price.output": "Price of output",
    "price.call": "Price of a call",
}
HINTS = {
    "price.input": "For a million tokens.",
    "price.cached": "For a million tokens of input that the provider had kept. Empty: as other input.",
    "price.output": "For a million tokens.",
    "price.call": "For each call, besides its tokens.",
}
NO_ACCOUNT = "is none of this provider's credentials; choose another"


def model_values(model: Model) -> dict[str, str]:
    """What the form of a model holds, by the names of its fields."""
    given = {name: getattr(model.price, name) if model.price else None for name in PRICES}
    return {
        "name": model.name,
        "provider_model": model.provider_model or "",
        "credential": model.credential or "",
        "priority": str(model.priority),
        "weight": str(model.weight),
        "context_length": written(model.context_length),
        **{f"price.{name}": written(value) for name, value in given.items()},
    }


def model_patch(form: PageForm) -> ModelPatch:
    """The change that a form asks for. Raises InvalidInputError, which names the fields as the form does."""
    reader = FormReader(form)
    name = reader.needed("name", "enter a name")
    own, link = form.meant("provider_model"), form.meant("credential")
    credential: CredentialId | None = None
    try:
        credential = credential_id(link) if link else None
    except InvalidIdError:
        reader.wrong["credential"] = NO_ACCOUNT
    priority, weight = reader.whole("priority"), reader.whole("weight")
    context, price = reader.whole("context_length"), _price(reader)
    reader.check()
    return ModelPatch(
        name=name,
        provider_model=own or (None if form.text("was_pooled") else UNSET),
        priority=0 if priority is None else priority,
        weight=1 if weight is None else weight,
        price=price,
        context_length=context,
        credential=credential if form.ticked("credential") else UNSET,
    )


def model_conflicts(form: PageForm, theirs: Model, was: dict[str, str]) -> dict[str, Difference]:
    """What differs between a form that held `was` when it was opened and what was saved meanwhile, by field."""
    return {
        key: Difference(form.again(key), other, form.again(key) != was.get(key))
        for key, other in model_values(theirs).items()
        if form.again(key) != other
    }


def _price(reader: FormReader) -> Price | None:
    given = {name: amount for name in PRICES if (amount := reader.number(f"price.{name}")) is not None}
    for name in ("input", "output"):
        if given and name not in given and f"price.{name}" not in reader.wrong:
            reader.wrong[f"price.{name}"] = "is needed for a price; 0 is one"
    return Price(**given) if given and not reader.wrong else None
