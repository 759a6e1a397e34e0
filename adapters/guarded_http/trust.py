"""Which certificate authorities a connection trusts: the system's, the operator's, and those of an account."""

import ssl

MOST_CONTEXTS = 64
"""Contexts kept at one time, one for each account's authorities."""


class Trust:
    """Makes TLS contexts, each once and late: loading the system's certificates takes tens of milliseconds.

    `authorities` are certificates in PEM that are trusted besides the system's. `given` stands in for the context of
    accounts that bring none.
    """

    def __init__(self, authorities: str = "", given: ssl.SSLContext | None = None) -> None:
        self._authorities = authorities
        self._contexts: dict[str, ssl.SSLContext] = {"": given} if given else {}

    def context(self, authorities: str = "") -> ssl.SSLContext:
        """The context for an account that trusts `authorities`, in PEM, besides all others."""
        found = self._contexts.get(authorities)
        if found is None:
            found = ssl.create_default_context()
            for pem in filter(None, (self._authorities, authorities)):
                found.load_verify_locations(cadata=pem)
            if len(self._contexts) >= MOST_CONTEXTS:
                self._contexts = {known: one for known, one in self._contexts.items() if not known}
            self._contexts[authorities] = found
        return found
