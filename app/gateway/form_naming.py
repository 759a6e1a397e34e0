"""The model's name in a form: found in its part `model`, and replaced while the rest streams."""

import re
from functools import lru_cache

from keycairn.app.gateway.form_scan import FormScanner
from keycairn.app.gateway.kept import KeptBody
from keycairn.app.gateway.outgoing import StreamedBody
from keycairn.app.gateway.request_body import Incoming
from keycairn.domain.errors import ListedModelsError, ModelNameError, RequestRefusedError
from keycairn.domain.model import LONGEST_CALLED_NAME

_BOUNDARY = re.compile(r";[ \t]*boundary[ \t]*\*?[ \t]*=", re.IGNORECASE)
_PARAMETER = re.compile(
    r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"\\]{1,70})"|([^\s;"]{1,70}))(?=[ \t]*(?:;|$))', re.IGNORECASE
)


class NamedForm:
    """A form and the place of the model's name in it."""

    __slots__ = ("_kept", "_place", "_scanner", "name")

    def __init__(self, name: str, scanner: FormScanner, kept: KeptBody) -> None:
        self.name: str = name
        self._place = scanner.place
        self._scanner = scanner
        self._kept = kept

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again."""
        return self._kept.whole

    def refuse_others(self) -> None:
        """Take no part that is about other models, be it here or still to come. Raises ListedModelsError."""
        self._scanner.refuses_others = True
        if self._scanner.names_others:
            raise ListedModelsError

    async def renamed(self, new: str, *, ask_usage: bool = False) -> StreamedBody:  # noqa: ARG002  # no form asks
        """The form with the model `new`."""
        return StreamedBody(self._kept, self._place, new.encode())


@lru_cache(maxsize=256)
def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a form, None for another kind of body. Raises RequestRefusedError where it is not clear."""
    kind, _, _ = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        return None
    found = _PARAMETER.findall(content_type)
    if len(found) != 1 or len(_BOUNDARY.findall(content_type)) != 1:
        raise RequestRefusedError("A form needs one boundary in its content-type.")
    boundary: str = found[0][0] or found[0][1]
    return boundary.rstrip().encode("latin-1")


async def named_form(incoming: Incoming, boundary: bytes) -> NamedForm:
    """The form and its part `model`. No more is read than needed; what follows is read while it is sent.

    A second such part is refused whenever it comes. Raises RequestRefusedError, or as `KeptBody.draw`.
    """
    scanner = FormScanner(boundary)
    kept = KeptBody(incoming, scanner.feed)
    while scanner.model is None and not kept.complete:
        await kept.draw(needed=True)
    scanner.finish()
    try:
        name = (scanner.model or b"").decode()
    except UnicodeDecodeError:
        raise RequestRefusedError('The form\'s part "model" is not text.') from None
    return NamedForm(checked_name(name), scanner, kept)


def checked_name(name: str) -> str:
    """The name of a model as a client may write it. Raises ModelNameError."""
    if not name or len(name) > LONGEST_CALLED_NAME or not name.isprintable():
        raise ModelNameError(LONGEST_CALLED_NAME)
    return name
