"""A plugin's provider with a field of every kind, as somebody else might write it."""

from keycairn.domain.modality import Modality
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec
from keycairn.plugins.hookspecs import hookimpl
from keycairn.plugins.openai_base import OpenAICompatible
from keycairn.ports.provider import Provider

SPEC = ProviderSpec(
    name="acme",
    label="Acme Sprachmodellverwaltungsgesellschaft",
    modalities=(Modality.LANGUAGE, Modality.SPEECH_TO_TEXT),
    fields=(
        FieldSpec(name="api_key", label="Zugangsschluessel", secret=True, required=True, env=("ACME_API_KEY",)),
        FieldSpec(name="base_url", label="Base URL", kind=FieldKind.URL, required=True, env=("ACME_URL",)),
        FieldSpec(name="region", label="Region", default="eu", choices=("eu", "us"), help="Where it runs."),
        FieldSpec(name="seats", label="Seats", kind=FieldKind.INTEGER),
        FieldSpec(name="contract", label="Contract", secret=True, multi_line=True, env=("ACME_CONTRACT",)),
    ),
    docs_url="https://acme.example/keys",
)


@hookimpl
def keycairn_providers() -> tuple[Provider, ...]:
    return (OpenAICompatible(SPEC, url="https://api.acme.example/v1"),)
