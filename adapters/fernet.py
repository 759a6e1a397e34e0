"""Reading keys that Open Notebook encrypted. Nothing is ever written in this form.

Its key is base64url(SHA-256(passphrase)); values of later versions begin with `pbkdf2v1:` and are under
base64url(PBKDF2-HMAC-SHA256(passphrase, fixed salt, 600,000 rounds)).
Source: open_notebook/utils/encryption.py of lfnovo/open-notebook.
"""

from base64 import urlsafe_b64encode
from functools import cached_property
from hashlib import pbkdf2_hmac, sha256

from cryptography.fernet import Fernet, InvalidToken

from keycairn.domain.secret import Secret

MARKER = "pbkdf2v1:"
TOKEN_START = "gAAAAA"  # noqa: S105  # every Fernet token of this century begins so: version 0x80, a 64-bit time
_SALT = b"open-notebook-credential-v1"
_ROUNDS = 600_000


class UnreadableKeyError(Exception):
    """The value does not open; the text says why and never quotes it."""


class NotebookKeys:
    """Opens the keys of one Open Notebook with its passphrase, None where nobody gave one."""

    def __init__(self, passphrase: Secret | None) -> None:
        self._passphrase = passphrase

    def open(self, text: str) -> Secret:
        """The key in `text`, which may be encrypted or, in old databases, plain.

        Raises UnreadableKeyError for whatever looks encrypted and does not open: it is never taken for a key.
        """
        value = text.strip()
        if value.startswith(MARKER):
            return self._decrypted(value.removeprefix(MARKER), newer=True)
        if value.startswith(TOKEN_START):
            return self._decrypted(value, newer=False)
        return Secret(value)

    def _decrypted(self, token: str, *, newer: bool) -> Secret:
        if self._passphrase is None:
            raise UnreadableKeyError("it is encrypted, and no passphrase was given")
        try:
            plain = (self._newer if newer else self._older).decrypt(token.encode("ascii")).decode("utf-8")
        except (InvalidToken, UnicodeError):
            raise UnreadableKeyError("the passphrase does not open it, or it is damaged") from None
        inner = plain.strip()
        if not inner or inner.startswith((MARKER, TOKEN_START)):
            raise UnreadableKeyError("it opens, but holds no key")
        return Secret(inner)

    @cached_property
    def _older(self) -> Fernet:
        return Fernet(urlsafe_b64encode(sha256(self._text).digest()))

    @cached_property
    def _newer(self) -> Fernet:
        return Fernet(urlsafe_b64encode(pbkdf2_hmac("sha256", self._text, _SALT, _ROUNDS)))

    @property
    def _text(self) -> bytes:
        return (self._passphrase or Secret("")).reveal().encode("utf-8", "surrogatepass")
