"""The ways a text can be spelled on a wire: what all of them have in common, and reading it back without escapes.

Everything here is linear in what is read, and made of passes that cost about as much however many escapes there are.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator, Mapping

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
"""What counts of a key: letters and digits."""
FOLD = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
"""Upper case to lower case."""
SEPARATORS = bytes(byte for byte in range(256) if byte not in LETTERS)
"""Whatever may be put between the characters of a text without changing what a reader sees in it."""
LAYERS = 6
"""How often what is escaped several times is made plainer."""

_BLANK = re.compile(rb"\\[bfnrt]")
_FOREIGN = re.compile(rb"\\u(?!00[2-7]|2[014]|180e|00ad|feff|ff[0-5]|d83[5c])[0-9a-f]{4}", re.IGNORECASE)
"""Escapes of JSON that stand for no part of a key, in any form of its characters."""

_MARKUP = re.compile(
    rb"<[^<>]{0,200}>"  # elements of HTML and XML
    rb"|&[a-zA-Z]{2,10};"  # entities that are no letter: soft hyphens, joiners
    rb"|\x1b\[[0-9;]{0,20}[A-Za-z]"  # colours of a terminal
    rb"|=\?[\w-]{1,40}\?[bBqQ]\?"  # the head of an encoded word (RFC 2047)
)
_CONTROL = re.compile(rb"\\(?:u001[bB]|x1[bB]|033|e)(?=\[)")
_BRACED = re.compile(rb"\\(?:[uUxX]\{|N\{U\+)0{0,6}([2-7][0-9a-fA-F])\}")
_BRACED_FORM = re.compile(rb"\\(?:[uUxX]\{|N\{U\+)0{0,4}([0-9a-fA-F]{4})\}")
_HEX_FORM = re.compile(rb"&#x([0-9a-fA-F]{4})(?![0-9a-fA-F])")
_ENTITY = re.compile(rb"&#[0-9]{1,7}")
_OCTAL = re.compile(rb"\\[0-3][0-7]{2}")
_QUOTED = re.compile(rb"=[2-7][0-9a-fA-F]")
_SURROGATES = ("\ud835", "\ud83c")
"""The first halves of letters in other forms beyond 16 bits."""
_AT_ONCE = 64
"""Characters that get their plain forms at a time: putting accents in order takes the square of their number."""
_TELLING_JSON = re.compile(
    rb"\\(?:x|[uU](?:\{|0{2,6}[2-7]|20[0-6]|2[14]|180[eE]|00[aA][dD]|[fF][eE][fF][fF]|[fF]{2}[0-5]|[dD]83[5cC])"
    rb"|[2-7][0-7]{0,2}\\|[01][0-7]{2}\\)"
)
_TELLING_URL = re.compile(rb"%(?:[2-7][0-9a-fA-F]|[eE][fF]|[fF]0|[eE]2|u00)")
_TELLING_HTML = re.compile(rb"&[#a-zA-Z]")

FORMS: Mapping[int, int] = {
    code: ord(plain)
    for begin, end in ((0x2070, 0x20A0), (0x2100, 0x2150), (0x2460, 0x2500), (0xFF01, 0xFF5F), (0x1D400, 0x1D800))
    for code, plain in ((code, unicodedata.normalize("NFKC", chr(code))) for code in range(begin, end))
    if len(plain) == 1 and plain.isascii()
}
"""Letters and digits in other forms: full width, mathematical, in circles."""
_TELLING_FORMS = (
    (b"\xef", re.compile(rb"\xef(?:\xbc[\x90-\x99\xa1-\xba]|\xbd[\x81-\x9a])")),
    (b"\xf0\x9d", re.compile(rb"\xf0\x9d[\x90-\x9f]")),
    (b"\xe2", re.compile(rb"\xe2(?:\x81[\xb0-\xbf]|\x82[\x80-\x9f]|[\x84\x85]|\x91[\xa0-\xbf]|[\x92\x93])")),
)
"""How these begin, and how they are written, in UTF-8."""

Span = tuple[int, int]
"""Where a part of a text begins and ends."""


def folded(text: bytes) -> str:
    """The letters and digits of `text` in lower case: the same for every separator, and in any case.

    What is escaped, as JSON does, and is no part of a key, is a separator too. Text, because it is searched faster
    than bytes.
    """
    if b"\\" in text:
        text = even(text)
    return text.translate(FOLD, SEPARATORS).decode("ascii")


def even(text: bytes) -> bytes:
    """`text` with blanks for the escapes that stand for no part of a key, and as long as it was."""
    text = _BLANK.sub(b"  ", text)
    return _FOREIGN.sub(b"      ", text) if b"\\u" in text else text


def base64_cores(text: bytes) -> Iterator[bytes]:
    """What of the base64 of `text` does not depend on what stands around it, for each of the three alignments."""
    for shift in range(3):
        begin, end = -(-shift * 8 // 6), (shift + len(text)) * 8 // 6
        yield base64.b64encode(bytes(shift) + text)[begin:end]


def escaped(text: bytes) -> bool:
    """Whether `text` has escapes that stand for something a key is made of, or markup between them."""
    return (
        (b"\\" in text and _TELLING_JSON.search(text) is not None)
        or (b"%" in text and _TELLING_URL.search(text) is not None)
        or (b"&" in text and _TELLING_HTML.search(text) is not None)
        or (b"=" in text and _QUOTED.search(text) is not None)
        or marked_up(text)
        or in_other_forms(text)
    )


def marked_up(text: bytes) -> bool:
    """Whether `text` has elements, entities, colours or encoded words, which may stand between letters."""
    if b"[" in text and _CONTROL.search(text):
        return True
    return (b"<" in text or b"&" in text or b"\x1b[" in text or b"=?" in text) and _MARKUP.search(text) is not None


def in_other_forms(text: bytes) -> bool:
    """Whether `text` has letters or digits in the forms of `FORMS`."""
    return not text.isascii() and any(begin in text and form.search(text) for begin, form in _TELLING_FORMS)


def plainer(text: bytes) -> bytes:
    """`text` without its escapes and markup, and with plain letters for those in other forms; one layer of each."""
    if b"&" in text:
        text = _without_entities(text)
    if b"%" in text:
        text = _repeatedly(text, b"%25", b"%").replace(b"%u", b"\\u").replace(b"%", b"\\u00")
    if b"=" in text and _QUOTED.search(text):
        text = text.replace(b"=", b"\\u00")
    if b"\\" in text:
        text = _without_backslashes(text)
    if in_other_forms(text):
        text = plain_forms(text)
    return _MARKUP.sub(b"", text) if marked_up(text) else text


def plain_forms(text: bytes) -> bytes:
    """`text` in ASCII: letters in other forms, circled or accented, become plain, and no others are left."""
    read = text.decode("utf-8", "ignore")
    pieces = (read[begin : begin + _AT_ONCE] for begin in range(0, len(read), _AT_ONCE))
    return b"".join(
        piece.encode() if piece.isascii() else unicodedata.normalize("NFKD", piece).encode("ascii", "ignore")
        for piece in pieces
    )


def _repeatedly(text: bytes, what: bytes, by: bytes) -> bytes:
    """`text` with `by` for `what`, and for what becomes one by that, some layers deep."""
    for _ in range(LAYERS):
        if what not in text:
            break
        text = text.replace(what, by)
    return text


def _without_entities(text: bytes) -> bytes:
    text = _repeatedly(text, b"&amp;", b"&").replace(b"&lt;", b"<").replace(b"&gt;", b">")
    if b"&#" not in text:
        return text
    text = _repeatedly(text.replace(b";", b""), b"&#0", b"&#").replace(b"&#X", b"&#x")
    if b"&#x" in text:
        text = _repeatedly(text, b"&#x0", b"&#x")
        text = text.replace(b"&#x1d", b"\\U0001d").replace(b"&#x1D", b"\\U0001d")
        text = _HEX_FORM.sub(rb"\\u\1", text).replace(b"&#x", b"\\u00")
    for code in LETTERS if b"&#" in text else b"":
        text = text.replace(b"&#%d" % code, bytes((code,)))
    return _ENTITY.sub(b" ", text)


def _without_backslashes(text: bytes) -> bytes:
    text = _repeatedly(text, b"\\\\", b"\\")
    text = _repeatedly(text, b"\\u005c", b"\\")
    text = _repeatedly(text, b"\\u005C", b"\\")
    text = _CONTROL.sub(b"\x1b", text)
    if b"{" in text:
        text = _BRACED_FORM.sub(rb"\\u\1", _BRACED.sub(rb"\\u00\1", text))
    if _OCTAL.search(text):
        for code in LETTERS:
            text = text.replace(b"\\%03o" % code, bytes((code,)))
        text = _OCTAL.sub(b" ", text)
    text = text.replace(b"\\x", b"\\u00").replace(b"\\U{", b"")
    if b"\\u" not in text and b"\\U" not in text:
        return text
    text = _BLANK.sub(b" ", text)
    if not text.isascii():
        text = text.decode("utf-8", "ignore").encode("raw_unicode_escape")
    read = text.decode("raw_unicode_escape", "ignore")
    if any(half in read for half in _SURROGATES):
        read = read.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return read.encode("utf-8", "ignore")
