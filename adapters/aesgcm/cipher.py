"""The cipher of `kc1:` secrets. The rules about nonces and associated data stand in `box.py`: read them first."""

from collections.abc import Mapping

from keycairn.adapters.aesgcm import box
from keycairn.adapters.aesgcm.key import Key
from keycairn.domain.errors import InvalidInputError, UndecryptableError
from keycairn.domain.keyset import KeyState
from keycairn.domain.sealed import (
    LONGEST_TEXT,
    SUITE,
    SealContext,
    SealedParts,
    SealedSecret,
    join,
    pad,
    split,
    unpad,
)
from keycairn.domain.secret import Secret

_LABEL = b"record"


class AesGcmCipher:
    """`keycairn.ports.cipher.Cipher` over the data keys of an opened keyset."""

    def __init__(self, install_id: str, keys: Mapping[int, Key], states: Mapping[int, KeyState]) -> None:
        self._install_id = install_id
        self._keys = dict(keys)
        self._states = dict(states)
        self._primary = next(kid for kid, state in self._states.items() if state is KeyState.PRIMARY)

    def __repr__(self) -> str:
        return f"<AesGcmCipher of {len(self._keys)} data keys>"

    def seal(self, secret: Secret, context: SealContext) -> SealedSecret:
        """See the port."""
        prefix = bytes([SUITE]) + self._primary.to_bytes(4, "big")
        _check(secret)
        frame = pad(secret.reveal().encode())
        return join(box.seal(self._keys[self._primary], _LABEL, prefix, frame, self._place(context, SUITE)))

    def open(self, sealed: SealedSecret, context: SealContext, *, retired: bool = False) -> Secret:
        """See the port."""
        parts = split(sealed)
        if why := self._refusal(parts, retired=retired):
            raise UndecryptableError(why)
        raw = parts.header + parts.ciphertext
        frame = box.unseal(self._keys[parts.kid], _LABEL, parts.header[:5], raw, self._place(context, parts.suite))
        if frame is None:
            raise UndecryptableError("it is damaged, or was sealed for another record, host or installation")
        return Secret(unpad(frame).decode())

    def unreadable(self, sealed: SealedSecret) -> str | None:
        """See the port."""
        try:
            return self._refusal(split(sealed), retired=True)
        except UndecryptableError as error:
            return error.reason

    def outdated(self, sealed: SealedSecret) -> bool:
        """See the port."""
        try:
            parts = split(sealed)
        except UndecryptableError:
            return False
        return parts.suite != SUITE or self._states.get(parts.kid) is KeyState.RETIRED

    def _refusal(self, parts: SealedParts, *, retired: bool) -> str | None:
        state = self._states.get(parts.kid)
        if state is None:
            return f"its data key {parts.kid} is not in the keyset"
        return f"its data key {parts.kid} is retired" if state is KeyState.RETIRED and not retired else None

    def _place(self, context: SealContext, suite: int) -> list[bytes]:
        return [item.encode("utf-8", "surrogatepass") for item in (self._install_id, *context.bound(suite))]


def _check(secret: Secret) -> None:
    """Raise InvalidInputError, out of a frame that holds nothing of the text."""
    size = _size(secret.reveal())
    if size is None:
        raise InvalidInputError("A secret is text that UTF-8 can hold; this one is not.")
    if size > LONGEST_TEXT:
        raise InvalidInputError(f"A secret is at most {LONGEST_TEXT:,} bytes long; this one has {size:,}.")


def _size(text: str) -> int | None:
    """The length of `text` in bytes of UTF-8. None instead of an exception, because Python's own carries the text."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None
