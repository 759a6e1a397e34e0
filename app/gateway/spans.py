"""What a trace is told about a call.

Source: opentelemetry.io/docs/specs/semconv/gen-ai (spans of clients, version 1.37).
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from keycairn.app.gateway.call import Call, Report
from keycairn.ports.tracing import Attributes, Span

_OPERATIONS: Mapping[str, str] = {
    "chat": "chat",
    "responses": "chat",
    "messages": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""The operations the conventions name; the others keep the name they have here, as the conventions allow."""
_PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""The providers the conventions name in another way than Keycairn."""


def operation(call: Call) -> str:
    """What the call does."""
    return _OPERATIONS.get(call.api.name, call.api.name)


def end(span: Span, call: Call, report: Report) -> None:
    """Report a call that is over. The model is named as it is registered, never by the client's own text."""
    server = urlsplit(report.url)
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": operation(call),
        "gen_ai.provider.name": _PROVIDERS.get(report.provider, report.provider),
        "gen_ai.request.model": report.model_name,
        "gen_ai.usage.input_tokens": report.used.input,
        "gen_ai.usage.output_tokens": report.used.output,
        "server.address": server.hostname or "",
        "server.port": server.port or (443 if server.scheme == "https" else 80 if server.scheme else 0),
        "http.response.status_code": report.status,
        "keycairn.credential": report.credential,
        "keycairn.model": report.model,
        "keycairn.token": call.caller.actor,
        "keycairn.attempts": report.attempts,
    }
    failed = report.code or (str(report.status) if report.status >= 400 else None)
    span.end(f"{operation(call)} {report.model_name}".rstrip(), _known(attributes), error=failed)


def _known(attributes: Attributes) -> Attributes:
    return {name: value for name, value in attributes.items() if value not in ("", 0)}
