"""The state of a credential, as pages call it: a word, and a sentence that says what to do."""

from collections.abc import Mapping

from msgspec import Struct

from keycairn.app.services.credentials import Listed
from keycairn.domain.credential import is_current
from keycairn.domain.outcome import PROVEN, Outcome
from keycairn.domain.provider import FieldKind, ProviderSpec
from keycairn.domain.url import parse_url

WORDS: Mapping[Outcome, str] = {
    Outcome.OK: "Works",
    Outcome.INVALID_AUTH: "Key refused",
    Outcome.NO_PERMISSION: "No permission",
    Outcome.QUOTA: "No quota left",
    Outcome.RATE_LIMITED: "Works",
    Outcome.NOT_FOUND: "Not found",
    Outcome.CANNOT_CONNECT: "No connection",
    Outcome.NOT_A_PROVIDER: "Not a provider",
    Outcome.BAD_REQUEST: "Call refused",
    Outcome.PROVIDER_DOWN: "Provider down",
    Outcome.UNKNOWN: "Test failed",
}


class AccountState(Struct, frozen=True):
    """`kind` is ok, warn, bad or off; `code` what the list is filtered by."""

    kind: str
    word: str
    sentence: str
    code: str


STATES: Mapping[str, str] = {
    "works": "Works",
    "failing": "Test failed",
    "changed": "Changed since the test",
    "untested": "Not tested",
    "broken": "Key does not open",
    "unknown": "Plugin missing",
}
"""The codes, with the words of the filter."""


def state_of(listed: Listed, spec: ProviderSpec | None) -> AccountState:
    """The state of a credential; `spec` is None where its plugin is not loaded."""
    credential = listed.credential
    check = credential.last_check
    if spec is None:
        why = "No loaded plugin supplies its provider. Install the plugin again, or delete the credential."
        return AccountState("bad", "Plugin missing", why, "unknown")
    if listed.decryption_error:
        why = f"A stored secret does not open ({listed.decryption_error}). Enter it again; its models work at once."
        return AccountState("bad", "Key does not open", why, "broken")
    if check is None:
        return AccountState("off", "Not tested", "Nobody has asked its provider yet whether the key works.", "untested")
    if not is_current(check, credential):
        return AccountState(
            "warn", "Changed", "It was changed since its last test, which says nothing of it now.", "changed"
        )
    success = check.outcome in PROVEN if check.success is None else check.success
    if success:
        return AccountState("ok", "Works", check.message, "works")
    return AccountState("bad", WORDS[check.outcome], check.message, "failing")


def host_of(listed: Listed, spec: ProviderSpec | None) -> str:
    """Where its calls go, as far as its settings or its provider say; "" where they do not."""
    settings = spec.effective(listed.credential.settings) if spec else listed.credential.settings
    urls = [str(settings[field.name]) for field in (spec.settings if spec else ()) if field.kind is FieldKind.URL
            and field.name in settings]  # fmt: skip
    if urls:
        return parse_url(urls[0]).authority
    return spec.hosts[0] if spec and spec.hosts else ""
