"""Spelling a secret in the ways a provider may, and reading it back without any help of the code under test."""

import base64
import bz2
import codecs
import gzip
import html
import io
import itertools
import json
import lzma
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from hypothesis import strategies as st

ZERO_WIDTH = "\u200b"
SHORTEST = 12
"""Characters of a part of a secret that tells something."""
MOST_PIECES = 4
"""Parts of a secret, of which none may be read."""

SECRETS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["sk-", "gsk_", "AIza", "nvapi-", "xai-", "", "r8_"]),
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=40),
        st.sampled_from(["", "/+x9", "-a1_", "=="]),
    ),
)

NOISE = bytes(range(128, 256, 3))


def _in_form(text: str, lower: int, upper: int, digit: int) -> str:
    """`text` with its letters and digits in another form, each of which begins at a code point."""
    begins = {"a": lower, "A": upper, "0": digit}
    ends = {"a": "z", "A": "Z", "0": "9"}

    def one(character: str) -> str:
        begin = next((one for one in begins if one <= character <= ends[one]), None)
        return chr(begins[begin] + ord(character) - ord(begin)) if begin else character

    return "".join(map(one, text))


def _long_escapes(text: str) -> str:
    return "".join(f"\\U{ord(one):08x}" if ord(one) > 127 else one for one in text)


def _zipped(text: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("key.txt", text)
    return archive.getvalue()


SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "prefixed": lambda text: f"pre-{text}",
    "reversed": lambda text: text[::-1],
    "upper": str.upper,
    "swapped case": str.swapcase,
    "all JSON escapes": lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
    "upper JSON escapes": lambda text: "".join(f"\\u{ord(one):04X}" for one in text),
    "some JSON escapes": lambda text: "".join(f"\\u{ord(c):04x}" if i % 3 else c for i, c in enumerate(text)),
    "escapes of escapes": lambda text: "".join(f"\\\\u{ord(one):04x}" for one in text),
    "escaped backslashes": lambda text: "".join(f"\\u005cu{ord(one):04x}" for one in text),
    "slashes": lambda text: text.replace("/", "\\/"),
    "hex escapes": lambda text: "".join(f"\\x{ord(one):02x}" for one in text),
    "braced escapes": lambda text: "".join(f"\\u{{{ord(one):x}}}" for one in text),
    "URL": lambda text: quote(text, safe=""),
    "all URL": lambda text: "".join(f"%{ord(one):02x}" for one in text),
    "some URL": lambda text: "".join(f"%{ord(c):02X}" if i % 2 else c for i, c in enumerate(text)),
    "URL twice": lambda text: "".join(f"%25{ord(one):02X}" for one in text),
    "URL thrice": lambda text: "".join(f"%2525{ord(one):02X}" for one in text),
    "decimal entities": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "hex entities": lambda text: "".join(f"&#x{ord(one):X};" for one in text),
    "entities of entities": lambda text: "".join(f"&amp;#{ord(one)};" for one in text),
    "named entities": lambda text: text.replace("-", "&hyphen;").replace("/", "&sol;").replace("_", "&lowbar;"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, second alignment": lambda text: base64.b64encode(f":{text}:".encode()).decode(),
    "base64, third alignment": lambda text: base64.b64encode(f"u:{text}\n".encode()).decode(),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 backwards": lambda text: base64.b64encode(text.encode()).decode()[::-1],
    "base64 of it backwards": lambda text: base64.b64encode(text[::-1].encode()).decode(),
    "base64 of JSON": lambda text: base64.b64encode(json.dumps({"key": text}).encode()).decode(),
    "base64 of hex": lambda text: base64.b64encode(text.encode().hex().encode()).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "upper hex": lambda text: text.encode().hex().upper(),
    "hex with colons": lambda text: text.encode().hex(":"),
    "hex with blanks": lambda text: text.encode().hex(" "),
    "hex of it backwards": lambda text: text[::-1].encode().hex(),
    "hex of base64": lambda text: base64.b64encode(text.encode()).hex(),
    "with blanks": " ".join,
    "with dashes": "-".join,
    "with dots": ".".join,
    "with nothing to see": ZERO_WIDTH.join,
    "with nothing to see, escaped": "\\u200b".join,
    "in lines": lambda text: "\\n".join(re.findall(".{1,5}", text)),
    "in pieces": lambda text: " / ".join(re.findall(".{1,7}", text)),
    "in lines of Windows": lambda text: "\\r\\n".join(re.findall(".{1,5}", text)),
    "with tabs": "\\t".join,
    "with escaped blanks": "\\u00a0".join,
    "with escaped accents": "\\u0301".join,
    "octal escapes": lambda text: "".join(f"\\\\{ord(one):03o}" for one in text),
    "full width": lambda text: "".join(f"\\u{ord(one) + 0xFEE0:04x}" for one in text),
    "full width, not escaped": lambda text: _in_form(text, 0xFF41, 0xFF21, 0xFF10),
    "mathematical": lambda text: _in_form(text, 0x1D41A, 0x1D400, 0x1D7CE),
    "mathematical, escaped": lambda text: json.dumps(_in_form(text, 0x1D41A, 0x1D400, 0x1D7CE))[1:-1],
    "mathematical, long escapes": lambda text: _long_escapes(_in_form(text, 0x1D41A, 0x1D400, 0x1D7CE)),
    "full width, URL": lambda text: quote(_in_form(text, 0xFF41, 0xFF21, 0xFF10)),
    "tags": lambda text: "".join(chr(0xE0000 + ord(one)) for one in text),
    "tags, escaped": lambda text: json.dumps("".join(chr(0xE0000 + ord(one)) for one in text))[1:-1],
    "in black squares": lambda text: text.upper().translate({65 + place: 0x1F170 + place for place in range(26)}),
    "letters of flags": lambda text: text.upper().translate({65 + place: 0x1F1E6 + place for place in range(26)}),
    "in circles, escaped": lambda text: json.dumps(_in_form(text, 0x24D0, 0x24B6, 0x30))[1:-1],
    "base64 within bytes": lambda text: base64.b64encode(NOISE + text.encode() + NOISE).decode(),
    "base64 of it backwards within bytes": lambda text: base64.b64encode(NOISE + text[::-1].encode() + NOISE).decode(),
    "codes": lambda text: ", ".join(str(ord(one)) for one in text),
    "codes, escaped": lambda text: "\\n".join(str(ord(one)) for one in text),
    "codes with zeros": lambda text: " ".join(f"{ord(one):03}" for one in text),
    "codes backwards": lambda text: ",".join(str(ord(one)) for one in reversed(text)),
    "octal codes": lambda text: " ".join(f"{ord(one):o}" for one in text),
    "hex codes": lambda text: ", ".join(f"0x{ord(one):02x}" for one in text),
    "upper hex codes": lambda text: ",".join(f"0X{ord(one):02X}" for one in text),
    "binary codes": lambda text: " ".join(f"{ord(one):08b}" for one in text),
    "binary codes of seven": lambda text: " ".join(f"{ord(one):07b}" for one in text),
    "octal codes of Python": lambda text: ", ".join(f"0o{ord(one):o}" for one in text),
    "codes of UTF-16": lambda text: ", ".join(f"{ord(one)}, 0" for one in text),
    "hex codes of assemblers": lambda text: ", ".join(f"{ord(one):02X}h" for one in text),
    "hex in words": lambda text: " ".join(f"0x{word}" for word in re.findall(".{1,8}", text.encode().hex())),
    "style escapes of six digits": lambda text: "".join(f"\\\\{ord(one):06x}" for one in text),
    "named escapes": lambda text: "".join(f"\\\\N{{U+{ord(one):04X}}}" for one in text),
    "sections of XML": lambda text: "".join(f"<![CDATA[{one}]]>" for one in text),
    "numbered codes": lambda text: ",".join(f"{place}: {ord(one)}" for place, one in enumerate(text)),
    "calls of chr": lambda text: " + ".join(f"chr({ord(one)})" for one in text),
    "a call of fromCharCode": lambda text: f"String.fromCharCode({','.join(str(ord(one)) for one in text)})",
    "code points": lambda text: " ".join(f"U+{ord(one):04X}" for one in text),
    "style escapes": lambda text: "".join(f"\\\\{ord(one):x} " for one in text),
    "turned by 13": lambda text: codecs.encode(text, "rot13"),
    "turned by 13, backwards": lambda text: codecs.encode(text[::-1], "rot13"),
    "markup": "<b>".join,
    "markup, escaped": "\\u003c/i\\u003e".join,
    "markup of entities": "&lt;b&gt;".join,
    "soft hyphens": "\u00ad".join,
    "soft hyphens as entities": "&shy;".join,
    "accents": "\u0301".join,
    "colours": "\\u001b[31m".join,
    "quoted-printable": lambda text: "".join(f"={ord(one):02X}" for one in text),
    "some quoted-printable": lambda text: "".join(f"={ord(c):02X}" if i % 2 else c for i, c in enumerate(text)),
    "encoded words": lambda text: " ".join(f"=?utf-8?Q?{one}?=" for one in re.findall(".{1,9}", text)),
    "encoded words in base64": lambda text: f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?=",
    "hex of UTF-16": lambda text: text.encode("utf-16-be").hex(),
    "hex of UTF-16, other order": lambda text: text.encode("utf-16-le").hex(),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base64 of UTF-32": lambda text: base64.b64encode(text.encode("utf-32-be")).decode(),
    "NULs": "\\u0000".join,
    "punycode": lambda text: f"xn--{text}-kva",
    "markdown": "**".join,
    "base64 of escapes": lambda text: base64.b64encode("".join(f"\\u{ord(c):04x}" for c in text).encode()).decode(),
    "base64 of URL": lambda text: base64.b64encode("".join(f"%{ord(c):02x}" for c in text).encode()).decode(),
    "base64 of markup": lambda text: base64.b64encode("<b>".join(text).encode()).decode(),
    "base64 of codes": lambda text: base64.b64encode(str([*text.encode()]).encode()).decode(),
    "base64 of base64 of hex": lambda text: base64.b64encode(base64.b64encode(text.encode().hex().encode())).decode(),
    "hex of hex": lambda text: text.encode().hex().encode().hex(),
    "base64 of base32": lambda text: base64.b64encode(base64.b32encode(text.encode())).decode(),
    "base64 of gzip": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "base64 of zlib": lambda text: base64.b64encode(zlib.compress(text.encode())).decode(),
    "base64 of bzip2": lambda text: base64.b64encode(bz2.compress(text.encode())).decode(),
    "base64 of zip": lambda text: base64.b64encode(_zipped(text)).decode(),
    "hex of gzip": lambda text: gzip.compress(text.encode()).hex(),
    "base64 of gzip of gzip": lambda text: base64.b64encode(gzip.compress(gzip.compress(text.encode()))).decode(),
    "base64 of xz": lambda text: base64.b64encode(lzma.compress(text.encode())).decode(),
    "base64 of URLs of xz": lambda text: base64.urlsafe_b64encode(lzma.compress(text.encode())).decode(),
}
"""Each keeps JSON and an event whole when it is put into a text of them."""

_SIMPLE = ("base64", "base64 of URLs", "hex", "upper hex", "reversed")
_OUTER = ("all JSON escapes", "some JSON escapes", "all URL", "some URL", "URL twice", "decimal entities", "raw")


def spelled(secret: str) -> st.SearchStrategy[str]:
    """`secret` in one spelling, or in one within another."""
    single = st.sampled_from(sorted(SPELLINGS)).map(lambda name: SPELLINGS[name](secret))
    composed = st.tuples(st.sampled_from(_SIMPLE), st.sampled_from(_SIMPLE), st.sampled_from(_OUTER)).map(
        lambda names: SPELLINGS[names[2]](SPELLINGS[names[1]](SPELLINGS[names[0]](secret)))
    )
    return st.one_of(single, composed)


def recoverable(secret: str, text: str, depth: int = 4) -> bool:
    """Whether `secret` can be read out of `text`, by undoing one thing after the other."""
    wanted = _bare(secret)
    seen: set[str] = set()
    at_hand = [text]
    for _ in range(depth):
        following: list[str] = []
        for one in at_hand:
            if one in seen or len(one) < len(wanted):
                continue
            seen.add(one)
            bare = _bare(one)
            if wanted in bare or wanted[::-1] in bare:
                return True
            following += _undone(one)
        at_hand = following
    return any(wanted in _bare(one) or wanted[::-1] in _bare(one) for one in at_hand)


def telling(secret: str, text: str) -> bool:
    """Whether `secret`, or one of the pieces of a long one, can be read out of `text`."""
    bare = _bare(secret)
    number = max(1, min(MOST_PIECES, len(bare) // SHORTEST))
    ends = [len(bare) * part // number for part in range(number + 1)]
    return any(recoverable(bare[begin:end], text) for begin, end in itertools.pairwise(ends))


def _bare(text: str) -> str:
    plain = unicodedata.normalize("NFKC", re.sub(r"\\[bfnrt]|\\u(?!00[2-7])[0-9a-f]{4}", " ", text))
    return "".join(re.findall("[a-z0-9]", plain.lower()))


def _undone(text: str) -> list[str]:
    def code(match: re.Match[str]) -> str:
        number = int(next(filter(None, match.groups())), 16)
        return chr(number - 0xFEE0 if 0xFF01 <= number <= 0xFF5E else number)

    found = [
        re.sub(r"\\u\{([0-9a-fA-F]{2})\}|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})", code, text),
        unquote(text, errors="ignore"),
        html.unescape(text),
        *re.findall(r"[A-Za-z0-9+/_=-]{14,}", text),
    ]
    if re.fullmatch(r"[A-Za-z0-9+/_=-]+", text):
        plain = text.replace("-", "+").replace("_", "/").rstrip("=")
        for way in (plain, plain[::-1]):
            for start in range(4):
                part = way[start:]
                part = part[: len(part) - (len(part) % 4 == 1)]
                try:
                    raw = base64.b64decode(part + "=" * (-len(part) % 4))
                except ValueError:
                    continue
                found.append(gzip.decompress(raw).decode() if raw[:2] == b"\x1f\x8b" else raw.decode("ascii", "ignore"))
    digits = re.sub(r"[^0-9a-fA-F]", "", text)
    if len(digits) * 2 > len(text):
        found += [bytes.fromhex(way[: len(way) // 2 * 2]).decode("ascii", "ignore") for way in (digits, digits[1:])]
    return [one for one in found if one != text]
