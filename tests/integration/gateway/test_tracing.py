"""Spans of calls, with the real SDK behind OpenTelemetry's API."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.canary import scan
from tests.gateway_house import GatewayHouse, gateway_house

from keycairn.adapters.otel import OpenTelemetryTracing
from keycairn.domain.credential import Credential
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

BODY = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "a private matter"}]}
TRACE = "0af7651916cd43dd8448eb211c80319c"
STRAY = "sk-stray-5c1D8e2F7a4B9063"
MISPLACED = {
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    **dict.fromkeys(("tracestate", "baggage"), f"key={STRAY}"),
    **dict.fromkeys(("x-request-id", "user-agent", "idempotency-key", "openai-beta", "b3", "x-b3-traceid"), STRAY),
}
"""A key wherever a client may put text that a trace could take up."""


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def house(exporter: InMemorySpanExporter) -> AsyncIterator[GatewayHouse]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with gateway_house(tracing=OpenTelemetryTracing(provider)) as house:
        yield house
    provider.shutdown()


@pytest.fixture
async def account(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(credential, "gpt-4o")
    return credential


async def ask(house: GatewayHouse, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}", **headers}) as client:
        return await client.post(f"{house.url}/v1/chat/completions", json=BODY)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or MappingProxyType({}))


async def test_a_call_is_a_span_by_the_conventions(
    house: GatewayHouse, account: Credential, openai_server: OpenAIServer, exporter: InMemorySpanExporter
) -> None:
    await ask(house, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")

    (span,) = exporter.get_finished_spans()
    (model,) = await house.keycairn.models.list()
    found = attributes(span)
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-4o", SpanKind.CLIENT, StatusCode.UNSET)
    assert format(span.context.trace_id, "032x") == TRACE
    assert found.pop("keycairn.token").startswith("token:")
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 8,
        "gen_ai.usage.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": int(openai_server.origin.rpartition(":")[2]),
        "http.response.status_code": 200,
        "keycairn.credential": account.id,
        "keycairn.model": model.id,
        "keycairn.attempts": 1,
    }


@pytest.mark.parametrize(
    ("fault", "error"), [(400, "provider_error"), (401, "provider_invalid_auth"), ("redirect", "provider_error")]
)
async def test_a_failure_is_told_by_its_kind(
    house: GatewayHouse,
    account: Credential,
    openai_server: OpenAIServer,
    exporter: InMemorySpanExporter,
    fault: int | str,
    error: str,
) -> None:
    openai_server.fault = fault

    await ask(house)

    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == error


async def test_no_secret_and_no_body_is_in_a_span(
    house: GatewayHouse, account: Credential, openai_server: OpenAIServer, exporter: InMemorySpanExporter
) -> None:
    for fault in (None, 400, 401, "html"):
        openai_server.fault = fault
        await ask(house, **MISPLACED)

    told = json.dumps([json.loads(span.to_json()) for span in exporter.get_finished_spans()])
    assert len(exporter.get_finished_spans()) == 4
    for private in (KEY, house.token.split("_")[2], "private matter", "Hello!", STRAY):  # before it: a public id
        assert scan(told, private) == []


def test_without_opentelemetry_keycairn_runs_and_traces_nothing(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from pathlib import Path\n"
        "from keycairn.app import Settings, open_keycairn\n"
        "async def main():\n"
        "    async with open_keycairn(Settings(database_url='mem://', data_dir=Path(sys.argv[1]))) as keycairn:\n"
        "        print('tracing:', keycairn.gateway._tracing)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own words

    assert result.stdout.splitlines()[-1:] == ["tracing: None"], result.stderr


def test_a_provider_that_is_set_while_keycairn_runs_is_seen() -> None:
    """In a process of its own: a global provider is set once for all."""
    script = """
import time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from keycairn.adapters.otel import OpenTelemetryTracing

tracing = OpenTelemetryTracing(look_again=0.05)
before = [tracing.begin("chat", ()) for _ in range(3)]
trace.set_tracer_provider(TracerProvider())
time.sleep(0.06)
print(before, tracing.begin("chat", ()) is not None)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603  # our own words
    assert done.stdout.strip() == "[None, None, None] True"
