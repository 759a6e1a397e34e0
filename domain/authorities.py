"""Certificates of authorities, as somebody brings them."""

import re
import ssl

from keycairn.domain.errors import InvalidInputError

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def certificates_in(text: str) -> str:
    """The certificates in a text of PEM, without what stands around them.

    Raises InvalidInputError for a text with none, with one that cannot be read, or with a private key.
    """
    if "PRIVATE KEY" in text:
        raise InvalidInputError("It holds a private key. Certificates of authorities have none.")
    pem = "\n".join(_CERTIFICATE.findall(text))
    if not pem:
        raise InvalidInputError("It holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise InvalidInputError("It holds a certificate that cannot be read.") from None
    return pem + "\n"
