"""What the OpenAPI document says of values beyond their types, so that what fits is taken: bounds, patterns, choices.

The domain checks them; its own constants are told here. What only a provider or the stored records decide, no schema
can say: whether a field is one of the provider's, whether a record exists, whether a name is free.
"""

from collections.abc import Mapping
from typing import Any

from keycairn.app.services.access import WORKSPACE
from keycairn.app.services.credentials import LONGEST_NAME, LONGEST_SECRET
from keycairn.domain.ids import KEY
from keycairn.domain.key_rotation.record import LONGEST_OVERLAP, MOST_DAYS
from keycairn.domain.limits import LARGEST_LIMIT
from keycairn.domain.modality import Modality
from keycairn.domain.model import HIGHEST_SHARE, LONGEST_CALLED_NAME, LONGEST_CONTEXT, LONGEST_MODEL_NAME, Slot
from keycairn.domain.names import MOST_PATTERNS
from keycairn.domain.options import LONGEST_TIME, LONGEST_VALUE, MOST_HEADERS, SHORTEST_TIME
from keycairn.domain.price import HIGHEST_PRICE

Facts = Mapping[str, Any]
PRINTABLE = "printable"
"""The format of a name: every character of it is a letter, mark, digit, sign or space, none a control."""
_CONTROL = r"\x00-\x1f\x7f-\x9f"


def _name(longest: int) -> Facts:
    """A name as it is sent; blanks around it are taken off."""
    inner = rf"[^\s{_CONTROL}]([^{_CONTROL}]*[^\s{_CONTROL}])?"
    return {"minLength": 1, "maxLength": longest, "pattern": rf"^\s*{inner}\s*$", "format": PRINTABLE}


def _id(table: str, *, empty: bool = False) -> Facts:
    pattern = f"{table}:{KEY}"
    return {"pattern": f"^({pattern})?$" if empty else f"^{pattern}$"}


_ADDRESS: Facts = {"pattern": rf"^\s*([^\s{_CONTROL}]([^{_CONTROL}]*[^\s{_CONTROL}])?)?\s*$"}
_CALLED = rf"^(?!default:|model:)[^\s{_CONTROL}]([^{_CONTROL}]*[^\s{_CONTROL}])?$"
_SHARE: Facts = {"minimum": 0, "maximum": HIGHEST_SHARE}
_TIME: Facts = {"minimum": SHORTEST_TIME, "maximum": LONGEST_TIME}
_CONTEXT: Facts = {"minimum": 1, "maximum": LONGEST_CONTEXT}
_COST: Facts = {"minimum": 0, "maximum": HIGHEST_PRICE}
_COUNT: Facts = {"minimum": 1, "maximum": LARGEST_LIMIT}
_TYPE: Facts = {"enum": [modality.value for modality in Modality]}
_KEY: Facts = {"maxLength": LONGEST_SECRET, "pattern": r"^[^\x00]*$"}
_DAYS: Facts = {"minimum": 0, "maximum": MOST_DAYS}
_ROOT_KEY: Facts = {"pattern": r"^\s*(base64|passphrase):"}

_ADDRESSES = ("base_url", "endpoint", "endpoint_llm", "endpoint_embedding", "endpoint_stt", "endpoint_tts")

FIELDS: Mapping[str, Mapping[str, Facts]] = {
    "CreateCredential": {
        **dict.fromkeys(_ADDRESSES, _ADDRESS),
        "name": _name(LONGEST_NAME),
        "provider": {"minLength": 1},
        "api_key": _KEY,
    },
    "UpdateCredential": {
        **dict.fromkeys(_ADDRESSES, _ADDRESS),
        "name": {"maxLength": LONGEST_NAME, "format": PRINTABLE},
        "api_key": _KEY,
    },
    "Limits": dict.fromkeys(
        ("concurrent", "requests_per_minute", "tokens_per_day", "micros_per_day", "micros_per_month"), _COUNT
    ),
    "Options": {
        **dict.fromkeys(("first_byte_timeout", "idle_timeout", "total_timeout"), _TIME),
        "headers": {
            "maxProperties": MOST_HEADERS,
            "propertyNames": {"pattern": "^[A-Za-z0-9-]+$"},
            "additionalProperties": {"type": "string", "pattern": f"^[!-~]([ -~]{{0,{LONGEST_VALUE - 2}}}[!-~])?$"},
        },
    },
    "RegisterModel": {
        "name": _name(LONGEST_MODEL_NAME),
        "model_type": _TYPE,
        "context_length": _CONTEXT,
    },
    "CreateModel": {
        "name": _name(LONGEST_MODEL_NAME),
        "provider_model": _name(LONGEST_MODEL_NAME),
        "provider": {"minLength": 1},
        "type": _TYPE,
        "credential": _id("credential", empty=True),
        "priority": _SHARE,
        "weight": _SHARE,
        "context_length": _CONTEXT,
    },
    "UpdateModel": {
        "name": _name(LONGEST_MODEL_NAME),
        "provider_model": _name(LONGEST_MODEL_NAME),
        "credential": _id("credential", empty=True),
        "priority": _SHARE,
        "weight": _SHARE,
        "context_length": _CONTEXT,
    },
    "Price": dict.fromkeys(("input", "cached", "output", "call"), _COST),
    "SetDefaults": {slot.value: _id("model", empty=True) for slot in Slot},
    "CreateToken": {
        "name": _name(LONGEST_NAME),
        "scopes": {"minItems": 1},
        "workspace": {"pattern": f"^{WORKSPACE}$"},
    },
    "UpdateToken": {"name": _name(LONGEST_NAME)},
    "Reach": {
        "providers": {"minItems": 1},
        "credentials": {"minItems": 1, "items": {"type": "string", **_id("credential")}},
        "models": {
            "minItems": 1,
            "maxItems": MOST_PATTERNS,
            "items": {"type": "string", **_name(LONGEST_CALLED_NAME), "pattern": _CALLED},
        },
    },
    "SetKeyRotation": {
        "every_days": {"minimum": 1, "maximum": MOST_DAYS},
        "overlap_hours": {"minimum": 0, "maximum": LONGEST_OVERLAP},
        "warn_days": _DAYS,
        "like": _id("credential"),
    },
    "NewRootKey": {"root_key": _ROOT_KEY, "current_root_key": _ROOT_KEY},
}
"""By the schema and its field."""
WHOLES: Mapping[str, Facts] = {"SetKeyRotation": {"minProperties": 1}}
"""By the schema."""
PARAMETERS: Mapping[tuple[str, str], Facts] = {
    ("/api/credentials/", "id"): _id("credential"),
    ("/api/models/", "id"): _id("model"),
    ("/api/tokens/", "id"): _id("token"),
    ("/api/credentials/", "migrate_to"): _id("credential"),
    ("/api/models", "type"): _TYPE,
    ("/api/encryption/", "kid"): {"minimum": 1},
}
"""By what the path begins with, and the name."""


def constrained_schemas(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas of the document with the facts of their fields."""
    return {name: _whole(name, schema) for name, schema in schemas.items()}


def constrained_parameters(path: str, parameters: list[Any]) -> list[Any]:
    """The parameters of an operation with what is known of their values."""
    found = []
    for each in parameters:
        facts = [told for (start, name), told in PARAMETERS.items() if path.startswith(start) and name == each["name"]]
        found.append({**each, "schema": _with(each["schema"], facts[0])} if facts else each)
    return found


def _whole(name: str, schema: Any) -> Any:
    facts = FIELDS.get(name, {})
    if not facts and name not in WHOLES:
        return schema
    own = {field: _with(part, facts[field]) if field in facts else part for field, part in schema["properties"].items()}
    return {**schema, "properties": own, **WHOLES.get(name, {})}


def _with(schema: Any, facts: Facts) -> Any:
    """`schema` with the facts; where it may be null, the other kind gets them."""
    kinds = schema.get("oneOf")
    if kinds is None:
        return {**schema, **facts}
    return {**schema, "oneOf": [kind if kind == {"type": "null"} else {**kind, **facts} for kind in kinds]}
