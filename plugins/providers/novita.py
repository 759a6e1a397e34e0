"""Novita. Source: novita.ai/docs/api-reference."""

from keycairn.domain.modality import Modality
from keycairn.plugins.fields import url_names
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "novita",
        "Novita",
        Modality.LANGUAGE,
        docs_url="https://novita.ai/settings/key-management",
        url_env=url_names("NOVITA"),
        hosts=("api.novita.ai",),
    ),
    url="https://api.novita.ai/openai",
)
