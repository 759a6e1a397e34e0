"""The APIs whose forms of errors are told apart."""

from enum import StrEnum


class Dialect(StrEnum):
    """The form of an error, by the API the caller speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
