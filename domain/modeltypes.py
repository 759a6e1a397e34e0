"""What a model does, judged by its name alone: the last resort where a provider does not say."""

import re

from keycairn.domain.modality import Modality

_WORDS = re.compile(r"[a-z0-9]+")

# Each list is read in the order of `classify`; the comments name the models that decided it.
_NO_TYPE_PARTS = ("rerank", "moderation", "realtime")  # bge-reranker-v2 is no embedding, gpt-realtime no chat
_EMBEDDING_PARTS = ("embed", "minilm", "text2vec", "similarity")  # nomic-embed-text, embeddinggemma, all-minilm
_EMBEDDING_WORDS = frozenset({"bge", "e5", "gte", "voyage", "paraphrase", "ada"})  # multilingual-e5-large, gte-qwen2
_LISTENING_PARTS = ("whisper", "transcri", "scribe", "speech-to-text", "parakeet")  # gpt-4o-transcribe, whisper-1
_LISTENING_WORDS = frozenset({"asr", "stt"})  # qwen3-asr-flash
_SPEAKING_PARTS = ("text-to-speech", "kokoro", "orpheus")
_SPEAKING_WORDS = frozenset({"speech", "voice", "aura", "eleven"})  # speech-02-hd, mai-voice-2, aura-2-thalia-en
_OTHER_PARTS = ("dall-e", "stable-diffusion", "text-to-image", "davinci", "babbage", "turbo-instruct")
_OTHER_WORDS = frozenset(
    {
        "image", "images", "imagen", "imagine", "flux", "sdxl", "sora", "veo", "video", "kling", "seedream",
        "seedance", "recraft", "ideogram", "midjourney", "t2i", "t2v", "i2v", "music", "lyria", "ocr", "audio", "aqa",
    }  # gpt-image-1, gemini-2.5-flash-image, mistral-ocr-latest; gpt-audio answers no plain chat
)  # fmt: skip


def classify(name: str) -> Modality | None:
    """The kind of work the model called `name` does; None for one that does none of the four, such as an image model.

    An owner before a slash and a tag after a colon are ignored, as is case. A name without any sign is a language
    model: that is what nearly all models without a sign are.
    """
    base = name.strip().lower().rsplit("/", 1)[-1].split(":", 1)[0]
    words = frozenset(_WORDS.findall(base))
    if not words or _has(base, _NO_TYPE_PARTS):
        return None
    if _has(base, _EMBEDDING_PARTS) or words & _EMBEDDING_WORDS:
        return Modality.EMBEDDING
    if _has(base, _LISTENING_PARTS) or words & _LISTENING_WORDS:
        return Modality.SPEECH_TO_TEXT
    if _has(base, _SPEAKING_PARTS) or words & _SPEAKING_WORDS or any(word.endswith("tts") for word in words):
        return Modality.TEXT_TO_SPEECH
    if _has(base, _OTHER_PARTS) or words & _OTHER_WORDS:
        return None
    return Modality.LANGUAGE


def _has(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)
