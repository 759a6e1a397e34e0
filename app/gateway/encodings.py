"""What a body's bytes stand for: UTF-8, or an encoding it is sent in by mistake."""

from codecs import getincrementaldecoder

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


class Utf8Check:
    """Is fed a body piece by piece; characters may lie across two."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")()
        self._fed = 0
        self._between = True
        """Whether no character is cut at the end of what was fed."""

    def feed(self, piece: bytes) -> None:
        """Read the next piece. Raises RequestRefusedError, which says where it is not UTF-8."""
        begin, self._fed = self._fed, self._fed + len(piece)
        if self._between and piece.isascii():
            return
        waiting = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(piece)
        except UnicodeDecodeError as error:
            at = begin - waiting + error.start
            half = error.object[error.start] == 0xED and error.object[error.start + 1 : error.start + 2] >= b"\xa0"
            why = "one half of a surrogate pair" if half else "bytes that are not UTF-8"
            raise RequestRefusedError(f"The body holds {why} (byte {at}).") from None
        self._between = not self._decoder.getstate()[0]
