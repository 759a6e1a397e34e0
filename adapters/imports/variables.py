"""The environment's variables, as far as a file to import may name them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from keycairn.domain.env_variable import is_variable_name
from keycairn.domain.provider import ProviderSpec, canonical_name
from keycairn.domain.secret import Secret

REFERENCE = "os.environ/"
OWN_PREFIX = "KEYCAIRN_"
_PLAIN_ENDINGS = r"API_BASE|BASE_URL|API_URL|ENDPOINT|API_VERSION|PROJECT|LOCATION|REGION"


class RefusedVariableError(Exception):
    """The variable may not be read, or there is none; the text says why, and quotes nothing that may be a secret."""


class ImportVariables:
    """What a file says is somebody else's word: it may name the variables of the provider it configures, and no others.

    Those are the ones the provider declares for fields of the same kind (a key is read where a key is wanted, and not
    where it would be shown), and `<name>_API_KEY` and the like of the names the file's format has for the provider.
    `allowed` are others the operator allows by name. Keycairn's own are never read. `own` are variables that the file
    sets itself: they are its own words, whoever they are named for.
    """

    def __init__(
        self,
        variables: Mapping[str, Secret],
        specs: Sequence[ProviderSpec],
        allowed: Collection[str] = (),
        own: Mapping[str, Secret] | None = None,
    ) -> None:
        self._variables = variables
        self._specs = {spec.name: spec for spec in specs}
        self._allowed = frozenset(allowed)
        self._own = own or {}

    def read(self, name: str, provider: str, aliases: Iterable[str], *, secret: bool) -> str:
        """The value of a variable for a field of `provider`, trimmed. Raises RefusedVariableError."""
        if not is_variable_name(name):
            raise RefusedVariableError("what it refers to is no variable's name")
        if (given := self._own.get(name)) is not None:
            text = given.reveal().strip()
            if text and not text.startswith(REFERENCE):
                return text
            name = text.removeprefix(REFERENCE) or name
            if not is_variable_name(name):
                raise RefusedVariableError("what it refers to is no variable's name")
        if is_own(name):
            raise RefusedVariableError("it refers to a variable of Keycairn's own, which no import reads")
        spec = self._specs.get(canonical_name(provider))
        if name not in self._allowed and not (spec and self._belongs(name, spec, aliases, secret=secret)):
            whose = spec.label if spec else "a provider that is known here"
            raise RefusedVariableError(
                f"it refers to the variable {name}, which is none of {whose} for this; "
                f"if it may be read, import again with --allow-variable {name}"
            )
        value = self._variables.get(name)
        if value is None or not value.reveal().strip():
            raise RefusedVariableError(f"the environment variable it refers to ({name}) is not set")
        return value.reveal().strip()

    @staticmethod
    def _belongs(name: str, spec: ProviderSpec, aliases: Iterable[str], *, secret: bool) -> bool:
        if any(name in field.env for field in spec.fields):
            return any(name in field.env for field in spec.fields if field.secret is secret)
        names = [alias.upper().replace("-", "_") for alias in (spec.name, *aliases)]
        prefixes = "|".join(re.escape(form) for name in names for form in (name, name.replace("_", "")))
        endings = "API_KEY" if secret else _PLAIN_ENDINGS
        return re.fullmatch(rf"(?:{prefixes})_(?:{endings})(?:_[A-Z0-9_]+)?", name, re.ASCII) is not None


def is_own(name: str) -> bool:
    """Whether a variable is one of Keycairn's own, which hold its root key and its tokens."""
    return name.upper().startswith(OWN_PREFIX)
