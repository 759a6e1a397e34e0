"""The variables credentials are read from."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from keycairn.domain.environment import Place
from keycairn.domain.secret import Secret


class Environment(Protocol):
    """The process environment and, besides it, the .env file of the settings.

    What of the file cannot be read adds nothing, and is told of by `faults`.
    """

    def variables(self) -> Mapping[str, Secret]:
        """Every variable as it is now; the process environment wins over the file. A missing file adds nothing."""
        ...

    def places(self) -> Sequence[Place]:
        """The same, each place by itself: the process environment first. A missing file is no place."""
        ...

    def faults(self) -> Sequence[str]:
        """What of the file cannot be read or is not for here, a sentence each: the file, the line, never a value."""
        ...
