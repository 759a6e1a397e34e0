"""Hugging Face's router to the providers of open models. Source: huggingface.co/docs/inference-providers."""

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Outcome
from keycairn.domain.provider import Account
from keycairn.plugins.failures import decode
from keycairn.plugins.managing.huggingface import MANAGEMENT, HuggingFaceKeys
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.ports.http import Http, Request

WHO_AM_I = "https://huggingface.co/api/whoami-v2"


class _Owner(Struct):
    name: str


class HuggingFace(HuggingFaceKeys, OpenAICompatible):
    """The router, in OpenAI's form. Its list of models is public, so that the key is proven at the hub."""

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """Whose token it is; at another base URL the list."""
        if account.text("base_url"):
            return await super().check(account, http)
        decode(await http.send(Request(url=WHO_AM_I, headers=self.headers(account))), _Owner)
        return ConnectionReport(outcome=Outcome.OK, message="The key works.")


PROVIDER = HuggingFace(
    replace(
        keyed_spec(
            "huggingface",
            "Hugging Face",
            Modality.LANGUAGE,
            docs_url="https://huggingface.co/settings/tokens",
            key_management=MANAGEMENT,
            key_env=("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HUGGINGFACE_API_KEY"),
            url_env=("HF_API_BASE",),
            preferred_models=("meta-llama/", "Qwen/", "openai/gpt-oss"),
        ),
        hosts=("*.huggingface.co", "huggingface.co"),
        env_families=("HF", "HUGGINGFACE", "HUGGINGFACEHUB", "HUGGING_FACE"),
        key_prefixes=("hf_",),
    ),
    url="https://router.huggingface.co/v1",
    client_name="openai-compatible",
)
