"""Novita. Source: novita.ai/docs/api-reference."""

from keycairn.domain.modality import Modality
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "novita",
        "Novita",
        Modality.LANGUAGE,
        docs_url="https://novita.ai/settings/key-management",
    ),
    url="https://api.novita.ai/openai",
)
