"""Amazon Bedrock: its control plane and its runtime, on one socket.

Source: docs.aws.amazon.com/bedrock/latest/APIReference, and smithy.io/2.0/aws/amazon-eventstream.html.
"""

import json
import re
import zlib
from base64 import b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from keycairn.domain.secret import Secret
from keycairn.plugins.sigv4 import Keys, signed_headers
from keycairn.testing.server import Answer, LocalServer, Recorded, as_json

ACCESS = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # Amazon's own example
NOVA, TITAN, CLAUDE = "amazon.nova-lite-v1:0", "amazon.titan-embed-text-v2:0", "anthropic.claude-sonnet-4-5-v1:0"
PROFILE = f"us.{CLAUDE}"
USAGE = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/bedrock/aws4_request, SignedHeaders=([^,]+), .*"
)


def frame(kind: str, payload: object) -> bytes:
    """An event of a stream."""
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()
        for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    )
    body = json.dumps(payload).encode()
    prelude = (16 + len(headers) + len(body)).to_bytes(4) + len(headers).to_bytes(4)
    whole = prelude + zlib.crc32(prelude).to_bytes(4) + headers + body
    return whole + zlib.crc32(whole).to_bytes(4)


class BedrockServer(LocalServer):
    """Takes the key as a bearer token, or what is signed with the access key."""

    def error(self, status: int) -> object:
        return {"message": f"something went wrong ({status})"}

    def refusal(self) -> tuple[object, int]:
        return {"message": "The security token included in the request is invalid."}, 403

    def authorized(self, recorded: Recorded) -> bool:
        given = recorded.headers.get("authorization", "")
        match = _SIGNED.fullmatch(given)
        if match is None:
            return super().authorized(recorded)
        names = [name for name in match[4].split(";") if name not in {"host", "x-amz-date", "x-amz-security-token"}]
        session = recorded.headers.get("x-amz-security-token")
        expected = signed_headers(
            recorded.method,
            f"http://{recorded.headers['host']}{recorded.target}",
            {name: recorded.headers[name] for name in names},
            body_sha256=sha256(recorded.body).hexdigest(),
            keys=Keys(Secret(ACCESS), Secret(SECRET), Secret(session) if session else None),
            region=match[3],
            service="bedrock",
            at=recorded.headers["x-amz-date"],
        )["authorization"]
        return isinstance(expected, Secret) and expected.reveal() == given

    def answer(self, recorded: Recorded) -> Answer:
        path = recorded.path
        if (recorded.method, path) == ("GET", "/foundation-models"):
            return as_json(
                {
                    "modelSummaries": [
                        _summary(NOVA, "TEXT"),
                        _summary(TITAN, "EMBEDDING"),
                        _summary(CLAUDE, "TEXT", "INFERENCE_PROFILE"),
                    ]
                }
            )
        if (recorded.method, path) == ("GET", "/inference-profiles"):
            arn = f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}"
            profile = {
                "inferenceProfileId": PROFILE,
                "inferenceProfileName": "US Claude",
                "models": [{"modelArn": arn}],
            }
            return as_json({"inferenceProfileSummaries": [{**profile, "status": "ACTIVE", "type": "SYSTEM_DEFINED"}]})
        if (recorded.method, path) == ("POST", "/openai/v1/chat/completions"):
            message = {"role": "assistant", "content": "Hello!"}
            usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
            head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": recorded.json()["model"]}
            return as_json(
                {**head, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
            )
        parts = path.strip("/").split("/")
        if recorded.method != "POST" or len(parts) != 3 or parts[0] != "model":
            return as_json({"message": "UnknownOperationException"}, 404)
        return self._run(unquote(parts[1]), parts[2], recorded.json())

    def _run(self, model: str, call: str, body: dict[str, Any]) -> Answer:
        if model not in {NOVA, TITAN, PROFILE}:
            return as_json({"message": "The provided model identifier is invalid."}, 404)
        if call == "converse":
            said = {"message": {"role": "assistant", "content": [{"text": "Hello!"}]}}
            return as_json({"output": said, "stopReason": "end_turn", "usage": USAGE, "metrics": {"latencyMs": 5}})
        if call == "converse-stream":
            return _stream(
                frame("messageStart", {"role": "assistant"}),
                *(
                    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": one}})
                    for one in ("Hel", "lo!")
                ),
                frame("messageStop", {"stopReason": "end_turn"}),
                frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}),
            )
        if call == "invoke-with-response-stream":
            last = {"outputText": "", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 3}}
            return _stream(*(frame("chunk", {"bytes": _packed(one)}) for one in ({"outputText": "Hello!"}, last)))
        if call == "invoke" and "inputText" in body:
            return as_json({"embedding": [0.5, -0.25, 1.0], "inputTextTokenCount": 2})
        return as_json({"message": "Malformed input request"}, 400)


def _packed(event: object) -> str:
    return b64encode(json.dumps(event).encode()).decode()


def _stream(*frames: bytes) -> Answer:
    return Answer(200, type="application/vnd.amazon.eventstream", chunks=frames)


def _summary(id: str, output: str, kind: str = "ON_DEMAND") -> dict[str, Any]:
    return {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{id}",
        "modelId": id,
        "modelName": id.partition(".")[2],
        "providerName": id.partition(".")[0],
        "inputModalities": ["TEXT"],
        "outputModalities": [output],
        "responseStreamingSupported": True,
        "inferenceTypesSupported": [kind],
        "modelLifecycle": {"status": "ACTIVE"},
    }
