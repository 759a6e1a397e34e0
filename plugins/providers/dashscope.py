"""DashScope (Qwen). Source: help.aliyun.com/zh/model-studio (OpenAI compatible mode)."""

from keycairn.domain.env_variable import EnvSwitch, EnvVariable
from keycairn.domain.modality import Modality
from keycairn.plugins.fields import url_names
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "dashscope",
        "DashScope (Qwen)",
        Modality.LANGUAGE,
        docs_url="https://dashscope.console.aliyun.com/apiKey",
        key_env=("DASHSCOPE_API_KEY", "QWEN_API_KEY"),
        url_env=(
            *("DASHSCOPE_COMPATIBLE_BASE_URL", *url_names("DASHSCOPE", "QWEN")),
            *(EnvVariable(name="DASHSCOPE_HTTP_BASE_URL", ends="/api/v1", adds="/compatible-mode/v1"),),
        ),
        hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"),
        env_families=("DASHSCOPE", "QWEN"),
        env_switches=tuple(
            EnvSwitch(name=name, why="the key is for the host of that region or workspace. Set its base URL", asks=True)
            for name in ("DASHSCOPE_API_REGION", "DASHSCOPE_WORKSPACE_ID")
        ),
        preferred_models=("qwen-max", "qwen-plus"),
    ),
    url="https://dashscope.aliyuncs.com/compatible-mode/v1",
)
