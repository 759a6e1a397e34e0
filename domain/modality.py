"""What a model does."""

from enum import StrEnum


class Modality(StrEnum):
    """The kind of work a model does; also the `type` of a registered model."""

    LANGUAGE = "language"
    EMBEDDING = "embedding"
    SPEECH_TO_TEXT = "speech_to_text"
    TEXT_TO_SPEECH = "text_to_speech"
