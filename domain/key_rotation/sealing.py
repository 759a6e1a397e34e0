"""Which place each secret of a rotation is sealed for: the new key, and what manages keys."""

from collections.abc import Mapping

from keycairn.domain.credential import Credential, destinations
from keycairn.domain.credential import seal_context as of_credential
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.field import FieldKind
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.key_rotation.record import TABLE, KeyRotation
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.sealed import SealContext
from keycairn.domain.secret import Secret
from keycairn.domain.url import origin_of


def management_spec(spec: ProviderSpec, management: KeyManagement) -> ProviderSpec:
    """What manages keys, as a provider of its own: its fields are checked, and their secrets bound, like any."""
    return ProviderSpec(
        name=spec.name,
        label=spec.label,
        modalities=spec.modalities,
        fields=management.fields,
        hosts=spec.hosts,
        docs_url=management.page or spec.docs_url,
    )


def seal_context(spec: ProviderSpec, rotation: KeyRotation, name: str) -> SealContext:
    """Where the secret of that name in `sealed` belongs.

    One of the key itself (`new.`, `old.`) goes where it went when it was sealed; one that manages keys to the URLs
    among its own settings. Raises UrlRefusedError for a URL that no setting may hold, InvalidInputError where the
    provider does not manage keys.
    """
    if "." in name:
        run = rotation.run
        places = dict(run.destinations).get(name.partition(".")[2], ()) if run else ()
    else:
        if spec.key_management is None:
            raise InvalidInputError(f"{spec.label} does not manage keys here.")
        places = destinations(management_spec(spec, spec.key_management), rotation.settings, name)
    return SealContext(
        workspace=rotation.workspace,
        table=TABLE,
        record=rotation.id,
        provider=spec.name,
        field=name,
        destinations=places,
    )


def allowed_origins(
    management: KeyManagement, settings: Mapping[str, object], secret: str | None = None
) -> frozenset[str]:
    """The origins that requests which manage keys may go to; with a name, those the secret of that name may.

    `settings` are the effective ones. Raises UrlRefusedError.
    """
    field = next((one for one in management.fields if one.name == secret), None)
    wanted = field.sent_to if field is not None and field.sent_to else None
    return frozenset(
        origin_of(str(settings[one.name]))
        for one in management.fields
        if one.kind is FieldKind.URL and settings.get(one.name) and (wanted is None or one.name in wanted)
    )


def secret_origins(
    management: KeyManagement, settings: Mapping[str, object], secrets: Mapping[str, Secret]
) -> list[tuple[Secret, frozenset[str]]]:
    """Each secret with the origins it may go to."""
    return [(secret, allowed_origins(management, settings, name)) for name, secret in secrets.items()]


def context_of(spec: ProviderSpec, record: Credential | KeyRotation, name: str) -> SealContext:
    """Where the secret of that name of either record belongs. Raises InvalidInputError as they do."""
    return seal_context(spec, record, name) if isinstance(record, KeyRotation) else of_credential(spec, record, name)
