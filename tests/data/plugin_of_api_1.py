"""A plugin as it was built against the first version of the plugin API. It stays as it is."""

from keycairn.plugins import Modality, OpenAICompatible, ProviderSpec, hookimpl

from keycairn.plugins import FieldKind, FieldSpec  # isort: skip

PROVIDER = OpenAICompatible(
    ProviderSpec(
        name="first",
        label="First",
        modalities=(Modality.LANGUAGE,),
        fields=(
            FieldSpec(name="api_key", label="API key", kind=FieldKind.TEXT, secret=True, env=("FIRST_API_KEY",)),
            FieldSpec(name="base_url", label="Base URL", kind=FieldKind.URL, required=False),
        ),
        docs_url="https://first.example/keys",
        api_version=1,
    ),
    url="https://api.first.example/v1",
    client_name="openai-compatible",
)


@hookimpl
def keycairn_providers() -> tuple[OpenAICompatible, ...]:
    return (PROVIDER,)
