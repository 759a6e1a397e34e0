"""The files that pages load: our own, by a path that holds their hash, so that a browser keeps them."""

import gzip
from hashlib import sha256
from importlib.resources import files

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath
from msgspec import Struct

from keycairn.app.web.auth import Access
from keycairn.domain.errors import NotFoundError

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class Asset(Struct, frozen=True):
    """A file as it is served. `path` begins with a slash and holds the hash."""

    path: str
    media_type: str
    body: bytes
    packed: bytes


def _load() -> dict[str, Asset]:
    found = {}
    for file in files("keycairn.app.page").joinpath("static").iterdir():
        name, _, kind = file.name.rpartition(".")
        if kind in _TYPES:
            body = file.read_bytes()
            path = f"/assets/{name}.{sha256(body).hexdigest()[:16]}.{kind}"
            found[file.name] = Asset(path, _TYPES[kind], body, gzip.compress(body, 9, mtime=0))
    return found


ASSETS = _load()
"""By the name of the file."""
_BY_PATH = {asset.path.removeprefix("/assets/"): asset for asset in ASSETS.values()}


@get("/assets/{name:str}", opt={"scope": Access.PUBLIC}, include_in_schema=False)
async def asset(request: Request[None, None, State], name: FromPath[str]) -> Response[bytes]:
    """A file that does not change; of another hash there is none."""
    found = _BY_PATH.get(name)
    if found is None:
        raise NotFoundError("There is nothing at this path.")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(found.packed if packed else found.body, media_type=found.media_type, headers=headers)
