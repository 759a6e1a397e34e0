"""oMLX, a server of one's own for Apple silicon. Source: github.com/jundot/omlx."""

from keycairn.domain.modality import Modality
from keycairn.domain.provider import ProviderSpec
from keycairn.plugins.fields import api_key, url_field
from keycairn.plugins.openai_base import OpenAICompatible

URL = "http://localhost:11435/v1"

PROVIDER = OpenAICompatible(
    ProviderSpec(
        name="omlx",
        label="oMLX",
        modalities=(Modality.LANGUAGE, Modality.EMBEDDING),
        fields=(
            url_field(env=("OMLX_API_BASE", "OMLX_BASE_URL"), default=URL, help="Where the server listens."),
            api_key("OMLX_API_KEY", required=False),
        ),
        env_requires=(("base_url",),),
        docs_url="https://github.com/jundot/omlx",
    ),
    url=URL,
    key_required=False,
    client_name="openai-compatible",
)
