"""The small payloads a model is tried with."""

import struct
from collections.abc import Mapping

GREETING = "Hi"
ANSWER_TOKENS = 16
"""The most tokens of a tried chat; several APIs refuse a smaller limit for models that think first."""
_RATE = 16_000
_BOUNDARY = "keycairn-5f3a8c61d2"


def silent_wav(seconds: float = 0.5) -> bytes:
    """Silence as WAV: mono, 16 bit, 16 kHz. Transcribers refuse less than a tenth of a second."""
    samples = bytes(2 * int(_RATE * seconds))
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


def multipart(fields: Mapping[str, str], *, file: str, name: str, type: str, content: bytes) -> tuple[str, bytes]:
    """The content type and the body of a form (RFC 7578) with one file in the field `file`.

    Values must hold no line break followed by the boundary; ours are model names and constants.
    """
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{file}"; filename="{name}"\r\nContent-Type: {type}'
    parts += [head.encode(), b"\r\n\r\n", content, f"\r\n--{_BOUNDARY}--\r\n".encode()]
    return f"multipart/form-data; boundary={_BOUNDARY}", b"".join(parts)
