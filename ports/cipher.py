"""Sealing and opening secrets."""

from typing import Protocol

from keycairn.domain.sealed import SealContext, SealedSecret
from keycairn.domain.secret import Secret


class Cipher(Protocol):
    """Encrypts one secret for one place. Safe to share between tasks and threads."""

    def seal(self, secret: Secret, context: SealContext) -> SealedSecret:
        """`secret`, sealed under the primary data key. Sealing twice gives two different texts.

        Raises InvalidInputError for a secret longer than 65,535 bytes of UTF-8.
        """
        ...

    def open(self, sealed: SealedSecret, context: SealContext, *, retired: bool = False) -> Secret:
        """The secret. Raises UndecryptableError when it is damaged, its key is unknown, or the place is another one.

        A retired key opens only with `retired`, which is for sealing it anew at once.
        """
        ...

    def unreadable(self, sealed: SealedSecret) -> str | None:
        """Why `sealed` can certainly not be opened, judged by its header alone (form, kid); None when it may open.

        What needs a retired key may.
        """
        ...

    def outdated(self, sealed: SealedSecret) -> bool:
        """Whether `sealed` is to be sealed anew as soon as it is opened: with a retired key, or of a former suite."""
        ...
