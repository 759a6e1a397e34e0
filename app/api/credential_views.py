"""What clients receive about credentials. No view has a field that can hold a secret, but for that of a new token."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from keycairn.app.api.bodies import WELL_KNOWN
from keycairn.app.api.probing_views import CheckView, check_view
from keycairn.app.services.credentials import Listed
from keycairn.domain.credential import Credential
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.options import Options
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.reach import Reach


class DuplicateView(Struct, frozen=True, kw_only=True):
    """Another credential that holds the same secret."""

    id: str
    name: str
    provider: str


class CredentialView(Struct, frozen=True, kw_only=True):
    """A credential. `config` holds what the provider calls its own; `has_secrets` says which secrets are stored.

    `duplicates` names other credentials with one of the same secrets; lists leave it out. `healed` says, in the answer
    to what was sent, by field what was put right in it.
    """

    id: str
    name: str
    provider: str
    modalities: Sequence[Modality]
    base_url: str | None = None
    endpoint: str | None = None
    api_version: str | None = None
    endpoint_llm: str | None = None
    endpoint_embedding: str | None = None
    endpoint_stt: str | None = None
    endpoint_tts: str | None = None
    project: str | None = None
    location: str | None = None
    credentials_path: str | None = None
    num_ctx: int | None = None
    has_api_key: bool
    created: datetime
    updated: datetime
    model_count: int
    decryption_error: str | None
    config: Mapping[str, Any]
    has_secrets: Mapping[str, bool]
    workspace: str
    version: int
    last_check: CheckView | None
    limits: Limits
    options: Options
    duplicates: list[DuplicateView] | UnsetType = UNSET
    healed: Mapping[str, str] | UnsetType = UNSET


def duplicate_views(credentials: Sequence[Credential], reach: Reach) -> list[DuplicateView]:
    """The views of credentials that are named because they hold the same secret; those out of `reach` stay unnamed."""
    return [
        DuplicateView(id=found.id, name=found.name, provider=found.provider)
        for found in credentials
        if reach.holds(found.provider, found.id)
    ]


def credential_view(listed: Listed, spec: ProviderSpec | None, reach: Reach) -> CredentialView:
    """The view of a credential; `spec` is None where its plugin is not loaded."""
    credential = listed.credential
    settings = spec.renamed(credential.settings) if spec else credential.settings
    flat: dict[str, Any] = {name: settings[name] for name in WELL_KNOWN if name in settings}
    own: dict[str, Any] = {name: value for name, value in settings.items() if name not in flat}
    declared = [field.name for field in spec.secrets] if spec else []
    check = credential.last_check
    return CredentialView(
        id=credential.id,
        name=credential.name,
        provider=credential.provider,
        modalities=credential.modalities,
        has_api_key=credential.has_api_key,
        created=credential.created,
        updated=credential.updated,
        model_count=listed.model_count,
        decryption_error=listed.decryption_error,
        config={**credential.extra, **own},
        has_secrets={name: name in credential.sealed for name in sorted({*declared, *credential.sealed})},
        workspace=credential.workspace,
        version=credential.version,
        last_check=check_view(check, credential) if check else None,
        limits=credential.limits,
        options=credential.options,
        duplicates=UNSET if listed.duplicates is None else duplicate_views(listed.duplicates, reach),
        healed=listed.healed or UNSET,
        **flat,
    )


class DeletionView(Struct, frozen=True, kw_only=True):
    """What a deletion did or, with `dry_run`, would do. The lists of models and tokens hold ids.

    `followed_tokens` were bounded to the credential, and reach the one that took the models over; an administrator's
    deletion does that. `stranded_tokens` reach no credential any more.
    """

    message: str
    deleted_models: int
    dry_run: bool
    deleted: Sequence[str]
    moved: Sequence[str]
    merged: Sequence[str]
    cleared_defaults: Sequence[str]
    redirected_defaults: Sequence[str]
    followed_tokens: Sequence[str]
    stranded_tokens: Sequence[str]
