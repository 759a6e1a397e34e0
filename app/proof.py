"""How the service proves to the commands beside it that it is the one which wrote `server.json`.

Each start makes a secret, which only those can read who can read the data folder. A command sends a nonce of its own
on a new connection, and gets the HMAC of it and of the connection's two ends. So an answer is good once, says nothing
about the secret, and cannot be had from the service by a process in between: its connection has other ends.
"""

import hmac
import re
import secrets
from ipaddress import IPv6Address, ip_address

PATH = "/health/proof"
_PURPOSE = b"keycairn server proof 1"
_NONCE = re.compile(r"[0-9a-f]{64}", re.ASCII)

End = tuple[str, int]
"""Address and port."""


def new_secret() -> str:
    """A secret of a start, in hex."""
    return secrets.token_hex(32)


def new_nonce() -> str:
    """A nonce of a connection, in hex."""
    return secrets.token_hex(32)


def is_nonce(text: str) -> bool:
    """Whether it is of the form that is answered."""
    return _NONCE.fullmatch(text) is not None


def prove(secret: str, nonce: str, *, client: End, server: End) -> str:
    """What proves to `client` that `server` knows the secret, in hex."""
    parts = (nonce.encode(), _end(client), _end(server))
    return hmac.new(secret.encode(), b"\n".join((_PURPOSE, *parts)), "sha256").hexdigest()


def proves(proof: str, secret: str, nonce: str, *, client: End, server: End) -> bool:
    """Whether `proof` is the one of this connection."""
    return proof.isascii() and hmac.compare_digest(proof, prove(secret, nonce, client=client, server=server))


def _end(end: End) -> bytes:
    address = ip_address(end[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return f"{address} {end[1]}".encode()
