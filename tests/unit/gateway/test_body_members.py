"""What names models, or starts work, is found in whatever way a lenient reader would take it."""

from collections.abc import Callable

import pytest

from keycairn.app.gateway.body_members import in_background, models_named, names_others, query_names_others

START = '"model": "mine", "messages": [{"role": "user", "content": "which \\"models\\"?"}]'

NAMING = (
    '"models": ["x"]',
    '"Models": ["x"]',
    '"models": ["x"], "models": null',
    '"models": null, "models": ["x"]',
    r'"\u006dodels": ["x"]',
    r'"mod\u0065l_list": [{"model_name": "x"}]',
    '"model\u017f": ["x"]',
    r'"model\u017f": ["x"]',
    r'"models\u0000": ["x"]',
    '" models ": ["x"]',
    '"fallbacks": ["x"]',
    '"FALLBACKS": ["x"], "fallbacks": []',
    '"fallbac\u212as": ["x"]',
    '"fallback_models": ["x"]',
    '"context_window_fallbacks": [{"a": ["x"]}]',
    '"tools": [{"type": "image_generation", "model": "x"}]',
    '"tools": [{"type": "image_generation", "Model": "x"}]',
    '"Tools": [{"model": "x"}]',
    '"tools": [{"model": "x"}], "tools": []',
    '"tools": {"x": {"model": "x"}}',
    '"tools": [{"type": "openrouter:advisor", "parameters": {"model": "x"}}]',
    '"plugins": [{"id": "fusion", "model": "x"}]',
    '"plugins": [{"id": "fusion", "analysis_models": ["x"]}]',
    '"extra_body": {"models": ["x"]}',
    '"extra_body": {"extra_body": {"model": "x"}}',
    '"audio": {"input": {"transcription": {"model": "x"}}}',
    '"model_id": "x"',
    '"modelName": "x"',
    '"engine": "x"',
    '"deployment_id": "x"',
    '"preset": "x"',
    '"x": [[[{"model": "x"}]]]',
)
FREE = (
    '"n": 1',
    '"models": null',
    '"models": []',
    '"fallbacks": []',
    '"modalities": ["text"]',
    '"metadata": {"model": "T"}',
    '"tools": [{"type": "function", "function": {"parameters": {"properties": {"model": {"type": "s"}}}}}]',
    '"response_format": {"json_schema": {"schema": {"$defs": {"Model": {"type": "object"}}}}}',
    '"plugins": [{"id": "web", "engine": "exa"}]',
    '"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"model": "T"}}]}]',
    '"prompt": {"id": "x", "variables": {"model": "T"}}',
)
WORK = (
    '"background": true',
    '"Background": true',
    '"background": true, "background": false',
    '"background": false, "background": true',
    '"background": 1',
    '"background": "true"',
    r'"b\u0061ckground": true',
    '"bac\u212aground": true',
    '"extra_body": {"background": true}',
    '"deferred": true',
    '"Deferred": true',
)
AT_ONCE = (
    '"n": 1',
    '"background": false',
    '"background": null',
    '"background": "transparent"',
    '"tools": [{"type": "image_generation", "background": "opaque"}]',
    '"metadata": {"background": true}',
    '"messages": [{"background": true}]',
)


@pytest.mark.parametrize(
    ("judge", "more", "expected"),
    [
        *((names_others, more, True) for more in NAMING),
        *((names_others, more, False) for more in FREE),
        *((in_background, more, True) for more in WORK),
        *((in_background, more, False) for more in AT_ONCE),
    ],
)
def test_a_member_counts_in_every_spelling_and_place_a_reader_may_take_it(
    judge: Callable[[bytes], bool], more: str, *, expected: bool
) -> None:
    assert judge(f"{{{START}, {more}}}".encode()) is expected
    assert judge(f"{{{more}, {START}}}".encode()) is expected


@pytest.mark.parametrize("judge", [names_others, in_background])
def test_what_is_too_deep_to_be_sure_of_counts(judge: Callable[[bytes], bool]) -> None:
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert judge(f'{{"model": "m", "models": null, "background": false, "x": {deep}}}'.encode())


def test_a_message_names_its_models_in_any_place() -> None:
    message = '{"session": {"model": "a", "Model": "b", "models": ["c"], "audio": {"input": {"MODEL": "d"}}}}'
    assert sorted(map(str, models_named(message.encode()))) == ["a", "b", "c", "d"]
    assert list(models_named(b'{"fallbacks": ["a"]}')) == [["a"]], "a list of names that is none of models"
    with pytest.raises(ValueError, match="decode"):
        list(models_named('{"model": "a"}'.encode("utf-16")))


@pytest.mark.parametrize("query", ["models=x", "Fallbacks=x", "model=m&mod%65ls=x", "a=1;models=x", "deployment=x"])
def test_a_parameter_of_a_query_counts_too(query: str) -> None:
    assert query_names_others(query)
    assert not query_names_others("model=m&n=1&models=")
