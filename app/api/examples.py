"""Bodies to show in the OpenAPI document and to start from on its page. No example holds anything like a key."""

from collections.abc import Mapping
from typing import Any

YOUR_KEY = "<your key>"

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "CreateCredential": {"name": "Work", "provider": "openai", "api_key": YOUR_KEY},
    "UpdateCredential": {"name": "Work, EU", "base_url": "https://eu.api.openai.com/v1", "api_key": YOUR_KEY},
    "RegisterModels": {"models": [{"name": "gpt-4o-mini", "provider": "openai", "model_type": "language"}]},
    "CreateModel": {
        "name": "gpt-4o-mini",
        "provider": "openai",
        "type": "language",
        "credential": "credential:01J9ZK3V6Q8M2T4B7N5R0XWYCE",
    },
    "SetDefaults": {"default_chat_model": "model:01J9ZK3V6Q8M2T4B7N5R0XWYCF", "default_tools_model": None},
    "CreateToken": {"name": "notebook", "scopes": ["models:read", "invoke"], "expires": "2031-01-01T00:00:00Z"},
    "UpdateToken": {"name": "notebook, EU", "limits": {"requests_per_minute": 60}},
    "Problem": {
        "type": "urn:keycairn:problem:credential_not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such credential.",
        "code": "credential_not_found",
    },
}
"""By the name of the struct."""
