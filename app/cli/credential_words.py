"""What commands say about a credential: its fields, what became of a change or a test, what deleting it takes along."""

from collections.abc import Callable, Mapping
from typing import Any

from keycairn.app.cli.defaults import SLOTS
from keycairn.app.cli.environment import tested
from keycairn.app.cli.resolve import spoken
from keycairn.app.cli.show import BAD, GOOD, record, say


def impact(plan: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """What becomes of the models and tokens, by their `names`, and of the slots."""
    models = {
        "deleted": "models deleted with it",
        "moved": "models moved",
        "merged": "models that the other one has already, and that go with it",
    }
    slots = {"cleared_defaults": "default slots left empty", "redirected_defaults": "default slots that follow"}
    tokens = {
        "followed_tokens": "tokens bounded to it that follow the models",
        "stranded_tokens": "tokens that reach nothing any more (keycairn token edit)",
    }
    return [
        *(f"{text}: {', '.join(names.get(id, id) for id in plan[key])}" for key, text in models.items() if plan[key]),
        *(f"{text}: {', '.join(SLOTS[one] for one in plan[key])}" for key, text in slots.items() if plan[key]),
        *(f"{text}: {', '.join(names.get(id, id) for id in plan[key])}" for key, text in tokens.items() if plan[key]),
    ]


def print_credential(found: Mapping[str, Any]) -> None:
    """All that is told of a credential, one field a line; then what is wrong with it."""
    settings = {**{name: value for name, value in found.items() if name in _FLAT and value}, **found["config"]}
    limits = {name: most for name, most in found["limits"].items() if most is not None}
    rows: list[tuple[str, Callable[[], object] | object]] = [
        ("id", found["id"]),
        ("name", found["name"]),
        ("provider", found["provider"]),
        *((name, value) for name, value in settings.items()),
        ("secrets", ", ".join(name for name, has in found["has_secrets"].items() if has) or "none"),
        *((name, most) for name, most in limits.items()),
        ("models", found["model_count"]),
        ("tested", tested(found)),
        ("changed", found["updated"]),
    ]
    record(rows)
    again = f"keycairn credential set-key {spoken(found['name'])}"
    if found["options"]["closed"]:
        say(f"It is closed for calls: {found['options']['closed']}. Try: {again}", BAD)
    if found["decryption_error"]:
        say(f"It does not open: {found['decryption_error']}. Try: {again}", BAD)


_FLAT = (
    *("base_url", "endpoint", "api_version", "endpoint_llm", "endpoint_embedding", "endpoint_stt", "endpoint_tts"),
    *("project", "location", "credentials_path", "num_ctx"),
)


def print_notes(credential: Mapping[str, Any]) -> None:
    """What was healed of what somebody gave, and who has the same key."""
    for field, healed in (credential.get("healed") or {}).items():
        say(f"{field}: {healed}", "yellow")
    for twin in credential.get("duplicates") or ():
        say(f"You already have this key as {twin['name']} ({twin['id']}).", "yellow")


def outcome_of(results: list[Mapping[str, Any]], *, as_json: bool) -> int | None:
    """The exit code after tests, each of which is told unless it was printed as JSON."""
    for result in results:
        if not as_json:
            mark, style = ("works", GOOD) if result["success"] else ("FAILED", BAD)
            say(f"{mark}: {result['message']}", style)
    return None if all(result["success"] for result in results) else 1
