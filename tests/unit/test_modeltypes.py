import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.domain.modality import Modality
from keycairn.domain.modeltypes import classify

LANGUAGE = """
    gpt-5-mini gpt-4o o3-mini chatgpt-4o-latest claude-sonnet-4-6 gemini-2.5-flash llama3.2:latest mistral-large-latest
    deepseek/deepseek-chat:free grok-4 codestral-latest qwen3-coder pixtral-12b gemma3n:e4b command-r-plus
    meta-llama/llama-guard-4-12b kimi-k2 phi-4 some-model-nobody-knows
"""
EMBEDDING = """
    text-embedding-3-small text-embedding-ada-002 snowflake-arctic-embed:335m embeddinggemma:300m qwen3-embedding:8b
    codestral-embed mistral-embed nomic-embed-text:latest nomic-ai/nomic-embed-text-v1.5 bge-m3 BAAI/bge-large-en-v1.5
    intfloat/multilingual-e5-large e5-mistral-7b-instruct all-minilm mxbai-embed-large
    thenlper/gte-large gemini-embedding-001 voyage-3-lite embed-english-v3.0 Qwen3-Embedding-0.6B
"""
SPEECH_TO_TEXT = """
    whisper-1 whisper-large-v3-turbo openai/whisper-1 distil-whisper-large-v3-en gpt-4o-transcribe
    gpt-4o-mini-transcribe gpt-4o-transcribe-diarize scribe_v1 voxtral-mini-transcribe-2507 qwen3-asr-flash
"""
TEXT_TO_SPEECH = """
    tts-1 tts-1-hd gpt-4o-mini-tts gemini-2.5-flash-preview-tts playai-tts microsoft/mai-voice-2 kokoro xtts-v2
    eleven_multilingual_v2 aura-2-thalia-en speech-02-hd canopylabs/orpheus-v1-english
"""
NONE_OF_THEM = """
    dall-e-3 dall-e-2 gpt-image-1 chatgpt-image-latest gemini-2.5-flash-image imagen-4.0-generate-001 sora-2 veo-3.0
    black-forest-labs/flux-1-dev stable-diffusion-xl omni-moderation-latest bge-reranker-v2-m3 rerank-v3.5
    gpt-realtime gpt-4o-realtime-preview gpt-audio mistral-ocr-latest babbage-002 gpt-3.5-turbo-instruct grok-2-image
"""
CASES = [
    (name, type)
    for names, type in (
        (LANGUAGE, Modality.LANGUAGE),
        (EMBEDDING, Modality.EMBEDDING),
        (SPEECH_TO_TEXT, Modality.SPEECH_TO_TEXT),
        (TEXT_TO_SPEECH, Modality.TEXT_TO_SPEECH),
        (NONE_OF_THEM, None),
    )
    for name in names.split()
]


@pytest.mark.parametrize(("name", "type"), CASES, ids=[name for name, _ in CASES])
def test_a_models_name_tells_what_it_does(name: str, type: Modality | None) -> None:
    assert classify(name) is type
    assert classify(name.upper()) is type


@pytest.mark.parametrize("name", ["", "   ", "---", ":latest", "/"])
def test_a_name_without_words_has_no_type(name: str) -> None:
    assert classify(name) is None


@given(st.text())
def test_any_text_is_judged_without_failing(name: str) -> None:
    assert classify(name) in {None, *Modality}
