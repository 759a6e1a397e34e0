"""The ways a text can be spelled on a wire: what all of them have in common, and reading it back without escapes.

Everything here is linear in what is read, and made of passes that cost about as much however many escapes there are.
"""

import base64
import binascii
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


class _Letters(dict[bytes, bytes]):
    """The letters of codes; of other codes a blank."""

    def __missing__(self, code: bytes) -> bytes:
        return b" "


_BLANK = re.compile(rb"\\[bfnrt]")
_FOREIGN = re.compile(rb"\\u(?!00[2-7]|20[789]|21[0-4]|24[6-9a-f]|ff[0-5]|d83[5c]|db40)[0-9a-f]{4}", re.IGNORECASE)
"""Escapes of JSON that stand for no part of a key, in any form of its characters."""

_MARKUP = (
    (b"<", re.compile(rb"<[^<>]{0,200}>")),  # elements of HTML and XML
    (b"&", re.compile(rb"&[a-zA-Z]{2,10};")),  # entities that are no letter: soft hyphens, joiners
    (b"\x1b", re.compile(rb"\x1b\[[0-9;]{0,20}[A-Za-z]")),  # colours of a terminal
    (b"=", re.compile(rb"=\?[\w-]{1,40}\?[bBqQ]\?")),  # the head of an encoded word (RFC 2047)
)
"""By how each begins: an expression that begins with a character is searched much faster than one of several."""
_CONTROL = re.compile(rb"\\(?:u001[bB]|x1[bB]|033|e)(?=\[)")
_BRACED = re.compile(rb"\\(?:[uUxX]\{|N\{U\+)")
_BRACED_BYTE = re.compile(rb"\\(?:[uUxX]\{|N\{U\+)0{0,6}(?=[2-7][0-9a-fA-F]\})")
_BRACED_FORM = re.compile(rb"\\(?:[uUxX]\{|N\{U\+)0{0,4}(?=[0-9a-fA-F]{4}\})")
_HEX_FORM = re.compile(rb"&#x(?=[0-9a-fA-F]{4}(?![0-9a-fA-F]))")
_ENTITY = re.compile(rb"&#([0-9]{1,7});?")
_DECIMAL = _Letters({b"%d" % code: bytes((code,)) for code in range(32, 127)})
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_OCTAL_CODES = _Letters({b"%03o" % code: bytes((code,)) for code in range(32, 127)})
_WIDE = re.compile(rb"\\[uU](?![0-9a-fA-F]{4})")
"""What begins like an escape of four digits and is none."""
_QUOTED = re.compile(rb"=[2-7][0-9a-fA-F]")
_AN_ESCAPE = re.compile(rb"\\[0-7uUxN]")
_SURROGATES = ("\ud835", "\ud83c", "\udb40")
"""The first halves of letters in other forms beyond 16 bits."""
_AT_ONCE = 64
"""Characters that get their plain forms at a time: putting accents in order takes the square of their number."""
_TELLING_JSON = re.compile(
    rb"\\(?:x|N\{U|[uU](?:\{|0{2,6}[2-7]|0001[dD]|20[789]|21[0-4]|24[6-9a-fA-F]|[fF]{2}[0-5]|[dD]83[5cC]|[dD][bB]40)"
    rb"|[2-7][0-7]{0,2}\\|[01][0-7]{2}\\)"
)
_TELLING_URL = re.compile(rb"%(?:[2-7][0-9a-fA-F]|[eE][fF]|[fF]0|[eE]2|u00)")

FORMS: Mapping[int, int] = {
    code: ord(plain)
    for begin, end in ((0x2070, 0x20A0), (0x2100, 0x2150), (0x2460, 0x2500), (0xFF01, 0xFF5F), (0x1D400, 0x1D800))
    for code, plain in ((code, unicodedata.normalize("NFKC", chr(code))) for code in range(begin, end))
    if len(plain) == 1 and plain.isascii()
}
"""Letters and digits in other forms: full width, mathematical, in circles."""
_PICTURED: Mapping[int, int] = {
    **{0xE0000 + code: code for code in range(0x20, 0x7F)},
    **{begin + place: 65 + place for begin in (0x1F150, 0x1F170, 0x1F1E6) for place in range(26)},
}
"""Letters of tags, which print as nothing; white ones in black circles and squares; those that flags are made of."""
_TELLING_FORMS = (
    (b"\xef", re.compile(rb"\xef(?:\xbc[\x90-\x99\xa1-\xba]|\xbd[\x81-\x9a])")),
    (b"\xf0\x9d", re.compile(rb"\xf0\x9d[\x90-\x9f]")),
    (b"\xf0\x9f", re.compile(rb"\xf0\x9f(?:\x84[\xb0-\xbf]|[\x85\x86]|\x87[\xa6-\xbf])")),
    (b"\xf3\xa0", re.compile(rb"\xf3\xa0[\x80\x81]")),
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
    text = _BLANK.sub(b"  ", text.replace(b"\\n", b"  "))
    return _FOREIGN.sub(b"      ", text) if b"\\u" in text else text


def base64_cores(text: bytes) -> Iterator[bytes]:
    """What of the base64 of `text` does not depend on what stands around it, for each of the three alignments."""
    for shift in range(3):
        begin, end = -(-shift * 8 // 6), (shift + len(text)) * 8 // 6
        yield base64.b64encode(bytes(shift) + text)[begin:end]


def escaped(text: bytes) -> bool:
    """Whether `text` has escapes that stand for something a key is made of, or markup between them."""
    return (
        (b"\\" in text and _AN_ESCAPE.search(text) is not None and _TELLING_JSON.search(text) is not None)
        or (b"%" in text and _TELLING_URL.search(text) is not None)
        or (b"&" in text and b"&#" in text)
        or marked_up(text)
        or in_other_forms(text)
    )


def quoted(text: bytes) -> bool:
    """Whether `text` may be quoted-printable."""
    return b"=" in text and _QUOTED.search(text) is not None


def marked_up(text: bytes) -> bool:
    """Whether `text` has elements, entities, colours or encoded words, which may stand between letters."""
    if b"[" in text and _CONTROL.search(text):
        return True
    return any(begin in text and markup.search(text) for begin, markup in _MARKUP)


def in_other_forms(text: bytes) -> bool:
    """Whether `text` has letters or digits in the forms of `FORMS`."""
    return not text.isascii() and any(begin in text and form.search(text) for begin, form in _TELLING_FORMS)


def readings(text: bytes) -> Iterator[bytes]:
    """What `text` is without its escapes, one layer of each kind, and as quoted-printable; none where it has none."""
    if escaped(text):
        plain = plainer(text)
        if plain != text:
            yield plain
    if quoted(text):
        yield binascii.a2b_qp(text.replace(b"\r", b" "))


def plainer(text: bytes) -> bytes:
    """`text` without its escapes and markup, and with plain letters for those in other forms; one layer of each."""
    if b"&" in text:
        text = _without_entities(text)
    if b"%" in text:
        text = _repeatedly(text, b"%25", b"%").replace(b"%u", b"\\u").replace(b"%", b"\\x")
    if b"\\" in text:
        text = _without_backslashes(text)
    if in_other_forms(text):
        text = plain_forms(text)
    if b"<![CDATA[" in text:
        text = text.replace(b"<![CDATA[", b"").replace(b"]]>", b"")
    for begin, markup in _MARKUP:
        if begin in text:
            text = markup.sub(b"", text)
    return text


def plain_forms(text: bytes) -> bytes:
    """`text` in ASCII: letters in other forms, circled or accented, become plain, and no others are left."""
    read = text.decode("utf-8", "ignore")
    if b"\xf3\xa0" in text or b"\xf0\x9f" in text:
        read = read.translate(_PICTURED)
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
    text = _repeatedly(text, b"&#0", b"&#").replace(b"&#X", b"&#x")
    if b"&#x" in text:
        text = _repeatedly(text, b"&#x0", b"&#x").replace(b"&#x1D", b"&#x1d").replace(b"&#x1d", b"\\U0001d")
        text = _HEX_FORM.sub(rb"\\u", text).replace(b"&#x", b"\\x")
    return _with_letters(text, _ENTITY, _DECIMAL).replace(b";", b"")


def _with_letters(text: bytes, code: re.Pattern[bytes], letters: Mapping[bytes, bytes]) -> bytes:
    """`text` with the letter of each code in its place, and a blank for those of no letter."""
    pieces = code.split(text)
    pieces[1::2] = map(letters.__getitem__, pieces[1::2])
    return b"".join(pieces)


def _without_backslashes(text: bytes) -> bytes:
    text = _repeatedly(text, b"\\\\", b"\\")
    text = _repeatedly(text, b"\\u005c", b"\\")
    text = _repeatedly(text, b"\\u005C", b"\\")
    text = _CONTROL.sub(b"\x1b", text)
    if b"{" in text and _BRACED.search(text):
        text = _BRACED_FORM.sub(rb"\\u", _BRACED_BYTE.sub(rb"\\x", text)).replace(b"}", b"")
    if _OCTAL.search(text):
        text = _with_letters(text, _OCTAL, _OCTAL_CODES)
    text = text.replace(b"\\u00", b"\\x").replace(b"\\U000000", b"\\x")
    if b"\\u" in text or b"\\U" in text:
        text = _with_wide_characters(text)
    text = _BLANK.sub(b" ", text)
    return _with_bytes(text) if b"\\x" in text else text


def _with_wide_characters(text: bytes) -> bytes:
    """`text` with the characters for its escapes of four and eight digits, in UTF-8."""
    if not text.isascii():
        text = text.decode("utf-8", "ignore").encode("raw_unicode_escape")
    read = _WIDE.sub(b" ", text).decode("raw_unicode_escape", "ignore")
    if any(half in read for half in _SURROGATES):
        read = read.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return read.encode("utf-8", "ignore")


def _with_bytes(text: bytes) -> bytes:
    """`text` with the bytes for its escapes of two digits, read as quoted-printable, which is read fast."""
    text = text.replace(b"\r", b" ").replace(b"=", b"=\1").replace(b"\\x", b"=")
    return binascii.a2b_qp(text).replace(b"=\1", b"=")
