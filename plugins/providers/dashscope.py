"""DashScope (Qwen). Source: help.aliyun.com/zh/model-studio (OpenAI compatible mode)."""

from keycairn.domain.modality import Modality
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "dashscope",
        "DashScope (Qwen)",
        Modality.LANGUAGE,
        docs_url="https://dashscope.console.aliyun.com/apiKey",
        preferred_models=("qwen-max", "qwen-plus"),
    ),
    url="https://dashscope.aliyuncs.com/compatible-mode/v1",
)
