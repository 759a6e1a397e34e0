"""Where a command imports from: a value for `keycairn.app.wiring.open_source`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from keycairn.domain.provider import ProviderSpec
from keycairn.domain.secret import Secret


class Kind(StrEnum):
    """The forms that can be imported."""

    ENV = "env"
    LEGACY = "legacy"
    OPEN_NOTEBOOK = "open-notebook"
    LITELLM = "litellm"
    TABLE = "file"


class SourceSpec(Struct, frozen=True, kw_only=True):
    """What to import. `place` is a file, or for Open Notebook's two forms also `ws://`, `wss://` or `surrealkv://`.

    `specs` are the providers whose variables a .env file may hold and LiteLLM's references may name; `env_file` is what
    these are looked up in, besides the environment, and `allowed` are other variables they may name. `anyway`: what
    looks like an address and is not understood holds no account back.
    """

    kind: Kind
    place: str
    passphrase: Secret | None = None
    namespace: str = "open_notebook"
    database: str = "open_notebook"
    user: str | None = None
    password: Secret | None = None
    specs: Sequence[ProviderSpec] = ()
    env_file: Path | None = None
    allowed: tuple[str, ...] = ()
    anyway: bool = False

    @property
    def is_database(self) -> bool:
        """Whether the place is a live database."""
        return self.place.startswith(("ws://", "wss://", "surrealkv://"))

    @property
    def is_rereadable(self) -> bool:
        """Whether the place gives the same when read again: a plain file does, a pipe or a database does not."""
        return not self.is_database and Path(self.place).is_file()
