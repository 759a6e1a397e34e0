"""Encodings a body may be sent in by mistake."""

from keycairn.domain.errors import RequestRefusedError

_BEGINNINGS = (
    (b"\xef\xbb\xbf", "begins with a byte order mark. Send it without."),
    (b"\xff\xfe", "is UTF-16. Send UTF-8."),
    (b"\xfe\xff", "is UTF-16. Send UTF-8."),
    (b"\0\0\0", "is UTF-32. Send UTF-8."),
    (b"{\0", "is UTF-16 or UTF-32. Send UTF-8."),
    (b"\0{", "is UTF-16. Send UTF-8."),
    (b"\x1f\x8b", "is compressed with gzip. Send it as it is."),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd. Send it as it is."),
    (b"\x78\x01", "is compressed with deflate. Send it as it is."),
    (b"\x78\x9c", "is compressed with deflate. Send it as it is."),
    (b"\x78\xda", "is compressed with deflate. Send it as it is."),
)


def check_beginning(beginning: bytes) -> None:
    """Raise RequestRefusedError for a body that begins as one that is no UTF-8 text."""
    for mark, what in _BEGINNINGS:
        if beginning.startswith(mark):
            raise RequestRefusedError(f"The body {what}")
