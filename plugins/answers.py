"""What a plugin answers, read where it enters: an answer is of its type, fit to be kept and without secrets.

Each function raises UnfitAnswerError for what is no answer. Subclasses of text are made plain text.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from keycairn.domain.key_management import LONGEST_ID, KeyCreation, KeyManagement, ListedKey, MadeKey, is_key_id
from keycairn.domain.modality import Modality
from keycairn.domain.model import LONGEST_CONTEXT, is_model_name
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, ModelReport, Outcome, Provenance
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.plugins.boundary import UnfitAnswerError, shown
from keycairn.ports.http import Request
from keycairn.ports.token_cache import BoughtToken

MOST_MODELS = 10_000
"""Models of one discovery, and names in one report; further ones are left out."""
LONGEST_URL = 8192


async def report(given: object, redactor: Redactor) -> ConnectionReport:
    """A check's report."""
    if not isinstance(given, ConnectionReport):
        raise UnfitAnswerError("its check gave no ConnectionReport")
    return ConnectionReport(
        outcome=_outcome(given.outcome),
        message=_text(given.message, redactor),
        models=tuple(
            [name async for one in _several(given.models) if (name := _model_name(one, redactor)) is not None]
        ),
        proven=given.proven is True,
    )


async def trial(given: object, redactor: Redactor) -> ModelReport:
    """The report of a model that was tried."""
    if not isinstance(given, ModelReport):
        raise UnfitAnswerError("its try_model gave no ModelReport")
    return ModelReport(
        outcome=_outcome(given.outcome),
        message=_text(given.message, redactor),
        details=_text(given.details, redactor),
    )


async def discovery(given: object, redactor: Redactor, modalities: Sequence[Modality]) -> Discovery:
    """The models, each name and type once, without those nobody could register and those whose name repeats a secret.

    A masked name would be a model that is not there. A type that is none of the provider's `modalities` is left empty.
    """
    if not isinstance(given, Discovery):
        raise UnfitAnswerError("its discover gave no Discovery")
    models: dict[tuple[str, Modality | None], DiscoveredModel] = {}
    usable = 0
    async for one in _several(given.models):
        model = _model(one, redactor, modalities)
        if model is not None:
            usable += 1
            models.setdefault((model.name, model.type), model)
    return Discovery(
        models=tuple(models.values()),
        # A fallback without a reason is a fallback all the same: sync must not take it for the list.
        failure=None if given.failure is None else _text(given.failure, redactor) or "The list was not reached.",
        withheld=len(given.models) - usable,
        outcome=_outcome(given.outcome),
    )


def request(given: object) -> Request:
    """An authorized request."""
    if not isinstance(given, Request):
        raise UnfitAnswerError("its authorize gave no Request")
    headers = given.headers
    mapped = type(headers) is dict or isinstance(headers, Mapping)
    if not isinstance(given.url, str) or not isinstance(given.method, str) or not mapped:
        raise UnfitAnswerError("its authorize gave a Request with a method, a URL or headers that are none")
    for name, value in given.headers.items():
        if type(name) is str and (type(value) is str or type(value) is Secret):  # as nearly all are
            continue
        if not isinstance(name, str) or not isinstance(value, str | Secret):
            raise UnfitAnswerError("its authorize gave a header that is no text")
    return given


def url(given: object, method: str) -> str:
    """The URL that `method` gave, without slashes at its end."""
    if not isinstance(given, str) or not given.isprintable() or not 0 < len(given) <= LONGEST_URL:
        raise UnfitAnswerError(f"its {method} gave no URL")
    return str.__str__(given).rstrip("/")


def model_name(given: object) -> str:
    """What an API calls a model."""
    if not isinstance(given, str) or not is_model_name(name := str.__str__(given)):
        raise UnfitAnswerError("its openai_model_name gave no name")
    return name


def client_name(given: object) -> str:
    """What an in-process client calls a provider."""
    if not isinstance(given, str) or not is_model_name(name := str.__str__(given)):
        raise UnfitAnswerError("its client_name_for gave no name")
    return name


def truth(given: object) -> bool:
    """Yes or no."""
    if not isinstance(given, bool):
        raise UnfitAnswerError("its refuses_key gave neither True nor False")
    return given


def config(given: object) -> Mapping[str, Any]:
    """The config of a client."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise UnfitAnswerError("its client_config gave no mapping of names")
    return dict(given)


def bought(given: object) -> BoughtToken:
    """A token."""
    if not isinstance(given, BoughtToken) or not isinstance(given.token, Secret):
        raise UnfitAnswerError("it bought no BoughtToken")
    if not isinstance(given.expires_in, int | float):
        raise UnfitAnswerError("it bought a token for no number of seconds")
    return given


def made_key(given: object, redactor: Redactor, management: KeyManagement) -> MadeKey:
    """A key that was made. It has every secret that is the key, and nothing else that is one."""
    if not isinstance(given, MadeKey):
        raise UnfitAnswerError("its create_key gave no MadeKey")
    named = given.secrets if isinstance(given.secrets, Mapping) else {}
    sound = all(isinstance(one, Secret) and one.reveal().strip() for one in named.values())
    secrets = {name: Secret(one.reveal().strip()) for name, one in named.items()} if sound else {}
    if not secrets or not sound or not set(secrets) <= set(management.secrets):
        raise UnfitAnswerError(f"its create_key gave other secrets than {', '.join(management.secrets)}")
    if not isinstance(given.settings, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str | int) for name, value in given.settings.items()
    ):
        raise UnfitAnswerError("its create_key gave settings that are none")
    if given.expires is not None and not isinstance(given.expires, datetime):
        raise UnfitAnswerError("its create_key gave an end that is no time")
    unlisted = management.creation is KeyCreation.UNLISTED
    known = redactor
    for one in secrets.values():
        known = known.and_also(one.reveal())
    return MadeKey(
        id="" if unlisted and given.id == "" else _key_id(given.id, known),
        secrets=dict(secrets),
        settings=dict(given.settings),
        expires=_aware(given.expires),
    )


def listed_keys(given: object, redactor: Redactor) -> tuple[ListedKey, ...]:
    """The keys of a list, each once."""
    if not isinstance(given, tuple | list):
        raise UnfitAnswerError("its list_keys gave no list")
    found: dict[str, ListedKey] = {}
    for one in given:
        if not isinstance(one, ListedKey) or not (one.secret is None or isinstance(one.secret, Secret)):
            raise UnfitAnswerError("its list_keys gave what is no ListedKey")
        id = _key_id(one.id, redactor)
        found[id] = ListedKey(
            id=id,
            tag=shown(one.tag, redactor)[:LONGEST_ID],
            current=one.current is True,
            usable=one.usable is not False,
            created=_aware(one.created),
            expires=_aware(one.expires),
            secret=one.secret,
        )
    return tuple(found.values())


def _key_id(given: object, redactor: Redactor) -> str:
    if not isinstance(given, str) or not is_key_id(given):
        raise UnfitAnswerError("an id of a key it gave is none")
    if redactor.holds(given):
        raise UnfitAnswerError("an id of a key it gave is a secret")
    return str.__str__(given)


def _aware(given: object) -> datetime | None:
    if not isinstance(given, datetime):
        return None
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


async def _several(given: object) -> AsyncIterator[object]:
    """The items, letting others go on after each: looking for secrets in one takes a millisecond or two."""
    if not isinstance(given, tuple | list):
        raise UnfitAnswerError("its models are no tuple")
    for one in given[:MOST_MODELS]:
        yield one
        await asyncio.sleep(0)


def _text(given: object, redactor: Redactor) -> str:
    if not isinstance(given, str):
        raise UnfitAnswerError("a text it gave is no text")
    return shown(given, redactor)


def _outcome(given: object) -> Outcome:
    if not isinstance(given, str) or given not in frozenset(Outcome):
        raise UnfitAnswerError("its outcome is no Outcome")
    return Outcome(given)


def _model(given: object, redactor: Redactor, modalities: Sequence[Modality]) -> DiscoveredModel | None:
    if not isinstance(given, DiscoveredModel) or (name := _model_name(given.name, redactor)) is None:
        return None
    if not isinstance(given.provenance, str) or given.provenance not in frozenset(Provenance):
        return None
    type = given.type
    if type is not None:
        if not isinstance(type, str) or type not in frozenset(Modality):
            return None
        type = Modality(type) if type in modalities else None
    description = shown(given.description, redactor)
    length = given.context_length
    told = isinstance(length, int) and not isinstance(length, bool) and 1 <= length <= LONGEST_CONTEXT
    return DiscoveredModel(
        name=name,
        type=type,
        provenance=Provenance(given.provenance),
        description=description,
        context_length=length if told else None,
    )


def _model_name(given: object, redactor: Redactor) -> str | None:
    if not isinstance(given, str):
        return None
    name = str.__str__(given)
    return name if is_model_name(name) and not redactor.holds(name) else None
