"""What is declared about environment variables that other software reads: how it writes them, and what they mean."""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from keycairn.domain.secretlike import looks_secret

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
LONGEST_NAME = 64
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)
_PORT = re.compile(r":[0-9]{1,5}", re.ASCII)
TRUE = ("1", "true", "yes", "on", "t", "y")
"""What switches a variable on that is either on or off."""
EVERYWHERE = frozenset({"", "0.0.0.0", "[::]", "::", "*"})  # noqa: S104  # what is told apart, and not listened at
"""Addresses a server listens at; nobody can be called there."""


class EnvVariable(Struct, frozen=True, kw_only=True):
    """A variable, and the habit of those who read it, where the value is not the field's as it is.

    `adds`: the path its readers put behind the address, such as `/openai/v1`; the field has it. `ends`: the path its
    readers want at the end, which the field does not have. `bare` makes a URL of a value without scheme, such as
    `https://{}.openai.azure.com`. `listens`: it is also what a server listens at, so `0.0.0.0` in it says nothing.
    """

    name: str
    adds: str = ""
    ends: str = ""
    bare: str = ""
    listens: bool = False

    def read(self, value: str) -> str:
        """The field's value. Scheme, host and port stay as they are; only the path is put right."""
        text = self._with_scheme(value.strip())
        if not (self.adds or self.ends) or "://" not in text:
            return text
        plain = text.rstrip("/")
        if self.adds and plain.endswith(self.adds):
            return plain
        return plain.removesuffix(self.ends).rstrip("/") + self.adds

    def written(self, value: str) -> str | None:
        """The value of the variable for a field's value; None where its readers cannot be told so."""
        if self.bare and self.bare != "http://{}":
            return None
        return value.rstrip("/").removesuffix(self.adds) + self.ends if self.adds or self.ends else value

    def says_nothing(self, value: str) -> bool:
        """Whether the value is an address to listen at, and none to call."""
        text = value.strip().partition("://")[2] or value.strip()
        return self.listens and _PORT.sub("", text.strip("/")) in EVERYWHERE

    def _with_scheme(self, text: str) -> str:
        if not self.bare or "://" in text:
            return text
        head = text.partition("/")[0]
        if self.bare.startswith("http://{}:") and _PORT.search(head):
            return f"http://{text}"
        return self.bare.format(text.strip("/"))


class EnvSwitch(Struct, frozen=True, kw_only=True):
    """A variable under which a provider's others mean something else: then they are not read.

    `values` are those that switch, in lower case; none named, any does. `of` are the variables it speaks of; none
    named, all. `why` says what they mean then. `asks`: the owner may say that they are meant all the same.
    """

    name: str
    why: str
    values: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    asks: bool = False

    def is_on(self, value: str) -> bool:
        """Whether the value switches."""
        text = value.strip().lower()
        return text in self.values if self.values else bool(text)


def is_variable_name(text: str) -> bool:
    """Whether `text` can be the name of a variable, and is none of a key that was put there."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None and not looks_secret(text)


def env_faults(variables: Iterable[EnvVariable]) -> Iterator[str]:
    """What is wrong with declared variables, one phrase each, to go behind the name of their field."""
    for variable in variables:
        if not _NAME.fullmatch(variable.name):
            yield "is read from a variable whose name is none"
        for path in (variable.adds, variable.ends):
            if path and not _PATH.fullmatch(path):
                yield f"is read from {variable.name} with a path that is none: it begins with / and does not end so"
        if variable.bare and (variable.bare.count("{}") != 1 or not variable.bare.startswith(("http://", "https://"))):
            yield f"is read from {variable.name} with no URL that has one {{}} in its place"
