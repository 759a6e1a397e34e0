"""How keys of a provider's accounts are made and revoked by its API: what is declared, asked and answered."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from keycairn.domain.field import FieldKind, FieldSpec, SettingValue
from keycairn.domain.secret import Secret


class KeyCreation(StrEnum):
    """What is known of a key whose creation was cut off, and so what becomes of it."""

    CHOSEN = "chosen"
    """Whoever asks chooses the secret: a key that is found afterwards is taken."""
    REPLACING = "replacing"
    """The account has a fixed number of keys, and one that is not in use is made anew: asking again harms nobody."""
    LISTED = "listed"
    """The secret is shown once, and the key is listed: one that is found afterwards is revoked."""
    UNLISTED = "unlisted"
    """The secret is shown once, and keys are not listed: a person has to look."""
    BY_PERSON = "by_person"
    """Only a person makes keys, at the provider's page."""


class KeyManagement(Struct, frozen=True, kw_only=True):
    """What a provider declares of it.

    `fields` are what it needs besides the account's own settings, such as an administrator's key: they are asked for
    once, where the rotation of a key is set up. Secrets of them are sealed, sent to the URL settings among `fields` and
    nowhere else (`FieldSpec.sent_to` says it more closely), and used for nothing else. A URL field without a default
    has to be `required`. `secrets` are the secrets of the account that are its key, or those of them that it has.

    `tagged`: a key is listed with the tag it was asked for with. Otherwise every key that appears after a creation was
    begun is taken for ours, so the user or project that is named in `fields` has to be for Keycairn alone, which the
    help of that field should say. `revokes`: False where a person has to. `lists`: whether there is a list of keys.
    `takes_effect` and `ends_within` are how long a new key and a revoked one may take, in seconds. `page` is where a
    person makes and revokes keys.
    """

    creation: KeyCreation
    fields: tuple[FieldSpec, ...] = ()
    secrets: tuple[str, ...] = ("api_key",)
    tagged: bool = True
    revokes: bool = True
    lists: bool = True
    takes_effect: float = 300.0
    ends_within: float = 900.0
    page: str = ""

    @property
    def makes(self) -> bool:
        """Whether keys are made by the API."""
        return self.creation is not KeyCreation.BY_PERSON


class KeyOrder(Struct, frozen=True, kw_only=True):
    """A key that is to be made. `tag` is to be its name, so that it is known again.

    `secret` is what it has to be, for `KeyCreation.CHOSEN`; None for others.
    """

    tag: str
    secret: Secret | None = None


class MadeKey(Struct, frozen=True, kw_only=True):
    """A key that was made: its id at the provider, and the account's secrets and settings that change with it."""

    id: str
    secrets: Mapping[str, Secret]
    settings: Mapping[str, SettingValue] = {}
    expires: datetime | None = None


class KeyRef(Struct, frozen=True, kw_only=True):
    """A key that is to be revoked. `secrets` are the key itself, where it is still known.

    `id` is "" where the provider lists no keys: then the key itself says which one. `origins` are those that `secrets`
    may be sent to, which the host sees to; None: those that the account's own key may.
    """

    id: str
    secrets: Mapping[str, Secret] = {}
    origins: frozenset[str] | None = None


class ListedKey(Struct, frozen=True, kw_only=True):
    """A key of a provider's list.

    `tag` is its name. `current`: it is the key of the account that was handed over. `usable`: False for one that is
    disabled or has ended. `secret` is the key itself where the provider tells it, so that it is not replaced while
    somebody uses it.
    """

    id: str
    tag: str = ""
    current: bool = False
    usable: bool = True
    created: datetime | None = None
    expires: datetime | None = None
    secret: Secret | None = None


LONGEST_ID = 512
"""Characters of a key's id: Google's are paths."""


def is_key_id(text: str) -> bool:
    """Whether it may be what a provider calls a key: it is written into a path, and into the audit log."""
    return 0 < len(text) <= LONGEST_ID and text.isprintable() and text not in {".", ".."}


def management_faults(management: KeyManagement, secrets: tuple[str, ...], taken: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with a declaration, one sentence each. `secrets` and `taken` are the account's own names."""
    if not management.secrets:
        yield "its key_management names no secret that is the key"
    yield from (
        f"its key_management calls {name!r} the key, which is no secret of the account"
        for name in management.secrets
        if name not in secrets
    )
    names = [field.name for field in management.fields]
    yield from (
        f"the field {name!r} of its key_management is declared twice"
        for name in sorted({name for name in names if names.count(name) > 1 or name in taken})
    )
    places = {field.name for field in management.fields if field.kind is FieldKind.URL and not field.secret}
    for field in management.fields:
        if field.kind is FieldKind.URL and field.default is None and not field.required:
            yield f"the URL {field.name!r} of its key_management has neither a default nor is it required"
        if field.secret and not places:
            yield f"the secret {field.name!r} of its key_management has no URL to go to"
        yield from (
            f"the secret {field.name!r} of its key_management is sent to {name!r}, which is no URL of it"
            for name in field.sent_to
            if name not in places
        )
    if not management.makes and not management.page:
        yield "its key_management leaves keys to a person, and names no page"
