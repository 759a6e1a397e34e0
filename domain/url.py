"""One strict URL parser."""

from msgspec import Struct

from keycairn.domain.errors import UrlRefusedError


class Url(Struct, frozen=True):
    """A vetted http(s) URL."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """scheme://host:port."""
        return f"{self.scheme}://{self.host}:{self.port}"


def parse_url(text: str, *, field: str | None = None) -> Url:
    """Raise UrlRefusedError."""
    raise UrlRefusedError("not implemented", field)
