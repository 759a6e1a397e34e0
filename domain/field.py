"""One field of what a provider asks for: how it is read, and where a secret of it may go."""

from enum import StrEnum

from msgspec import Struct

from keycairn.domain.env_variable import EnvVariable

SettingValue = str | int


class FieldKind(StrEnum):
    """How the value of a field is read and checked."""

    TEXT = "text"
    URL = "url"
    INTEGER = "integer"
    PATH = "path"


class SecretForm(StrEnum):
    """What a secret is, so that it is looked at when it comes in: a key, a service account's JSON, or anything."""

    KEY = "key"
    SERVICE_ACCOUNT = "service_account"
    ANY = "any"


class FieldSpec(Struct, frozen=True, kw_only=True):
    """One field of a provider's account.

    `env` lists the environment variables it is read from as it is, `variables` those that other software writes in a
    way of its own. Where several are set they have to agree. `default` is what an unset field means at the moment of
    use; it is never stored, so a plugin may change it. `form` says what a secret is; unsaid, `api_key` and
    `api_key_...` are keys, and others may be anything.

    `names_host`: a text that becomes part of a host's name, such as a region; it is one label of it. `sent_to`: for a
    secret, the settings that say where it goes, each a URL or one that names a host; empty means all of them. Changing
    one of those needs the secret again. A released plugin that changes either asks its users for their secrets again.

    `choices`: the only values a text setting takes; `pattern`: a regular expression that all of its value matches, one
    Python and browsers read alike. `multi_line`: a text or a secret of several lines. `formerly`: names of the setting
    in former versions of the plugin, whose stored values are its own. `help`, one sentence, and `order`, lower ones
    first and those alike as they are declared, are for whoever asks a person for the value.
    """

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    secret: bool = False
    required: bool = False
    env: tuple[str, ...] = ()
    default: SettingValue | None = None
    help: str = ""
    names_host: bool = False
    sent_to: tuple[str, ...] = ()
    variables: tuple[EnvVariable, ...] = ()
    form: SecretForm | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    multi_line: bool = False
    formerly: tuple[str, ...] = ()
    order: int = 0

    @property
    def env_names(self) -> tuple[str, ...]:
        """Every variable it is read from."""
        return (*self.env, *(variable.name for variable in self.variables))

    @property
    def holds(self) -> SecretForm:
        """What a secret is, where its form is unsaid by its name."""
        if self.form is not None:
            return self.form
        named = self.name == "api_key" or self.name.startswith("api_key_")
        return SecretForm.KEY if self.secret and named else SecretForm.ANY
