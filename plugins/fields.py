"""The fields providers have in common, and what is read from them."""

from collections.abc import Sequence

from keycairn.domain.env_variable import EnvVariable
from keycairn.domain.errors import InvalidAuthError, InvalidInputError, MissingFieldError
from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account, FieldKind, FieldSpec, is_host_label
from keycairn.domain.secret import Secret

SUFFIXES = {
    Modality.LANGUAGE: "llm",
    Modality.EMBEDDING: "embedding",
    Modality.SPEECH_TO_TEXT: "stt",
    Modality.TEXT_TO_SPEECH: "tts",
}
"""How a field that holds for one kind of work ends: `endpoint_llm`, `api_key_tts`."""


def api_key(
    *env: str,
    required: bool = True,
    name: str = "api_key",
    label: str = "API key",
    sent_to: Sequence[str] = (),
) -> FieldSpec:
    """The key, secret. It is sent to the URL settings `sent_to`, none named: to any."""
    return FieldSpec(name=name, label=label, secret=True, required=required, env=env, sent_to=tuple(sent_to))


def url_field(
    name: str = "base_url",
    label: str = "Base URL",
    *,
    env: Sequence[str | EnvVariable] = (),
    default: str | None = None,
    help: str = "Only for a proxy or a server of your own.",
) -> FieldSpec:
    """A URL, optional. `env` are variables that hold it as it is, or say how those who read them write it."""
    return FieldSpec(
        name=name,
        label=label,
        kind=FieldKind.URL,
        env=tuple(one for one in env if isinstance(one, str)),
        variables=tuple(one for one in env if isinstance(one, EnvVariable)),
        default=default,
        help=help,
    )


def url_names(*families: str) -> tuple[str, ...]:
    """The variables a base URL of a family is read from most often: by SDKs, LangChain, LiteLLM and LobeChat."""
    endings = ("BASE_URL", "API_BASE", "API_BASE_URL", "PROXY_URL")
    return tuple(f"{family}_{ending}" for family in families for ending in endings)


def header_secret(account: Account, name: str = "api_key", *, prefix: str = "") -> Secret | None:
    """The secret `name` behind `prefix`, fit for a header; None when unset.

    Raises InvalidAuthError for a key no header can carry, before anything is sent.
    """
    secret = account.secret(name)
    text = "" if secret is None else secret.reveal()
    if not text.strip():
        return None
    if not (text.isascii() and text.isprintable()):
        raise InvalidAuthError("The key holds characters no key has, such as a line break. Nothing was sent.")
    return Secret(prefix + text)


def required_header_secret(account: Account, name: str = "api_key", *, prefix: str = "") -> Secret:
    """As `header_secret`; raises InvalidAuthError when unset."""
    secret = header_secret(account, name, prefix=prefix)
    if secret is None:
        raise InvalidAuthError("This credential has no key. Nothing was sent.")
    return secret


def header_setting(account: Account, name: str) -> str:
    """The setting `name`, fit for a header; "" when unset. Raises InvalidInputError for one no header can carry."""
    text = account.text(name)
    if not (text.isascii() and (text.isprintable() or not text)):
        message = f"The setting {name} holds characters that no header can carry. Nothing was sent."
        raise InvalidInputError(message, {name: "must be printable ASCII"})
    return text


def host_label(account: Account, name: str) -> str:
    """The setting `name`, which becomes part of a host's name. Raises InvalidInputError unless it is a label of one."""
    text = account.text(name)
    if not is_host_label(text):
        message = f"The field {name} becomes part of a host's name: letters, digits and hyphens only."
        raise InvalidInputError(message, {name: "must be letters, digits and hyphens"})
    return text


def own_url(account: Account, *names: str, strip: Sequence[str] = ()) -> str:
    """The first of the URL settings `names` that is set, without trailing slashes and the path endings in `strip`.

    "" when none is set.
    """
    text = ""
    for name in names:
        if text := account.text(name):
            break
    text = text.rstrip("/")
    for ending in strip:
        text = text.removesuffix(ending).rstrip("/")
    return text


def required_url(account: Account, url: str, *names: str) -> str:
    """`url`, or MissingFieldError naming the fields it could have come from."""
    if not url:
        raise MissingFieldError(account.provider, [names])
    return url
