"""What a plugin answers is what it declares, fit to be kept and shown, or it is the plugin's failure."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.guarded import AWAITED, EVERY, KEY, LANGUAGE, REQUEST, Odd, ask

from keycairn.domain.errors import (
    PluginFailedError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.model import LONGEST_MODEL_NAME
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, ModelReport, Outcome
from keycairn.plugins.answers import MOST_MODELS


class OddReport(ConnectionReport, frozen=True, kw_only=True):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(KEY)


async def nothing() -> None: ...


async def stream() -> Any:
    yield ConnectionReport(outcome=Outcome.OK, message="")


ANSWERS = [None, 7, True, b"https://a.example", [], object(), Odd(), ConnectionReport, iter(()), "", "a\nb", "\ud800"]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "answer", ANSWERS, ids=lambda one: type(one).__name__ + (one if isinstance(one, str) else "").__repr__()
)
async def test_what_is_no_answer_is_its_failure(name: str, answer: object) -> None:
    with pytest.raises(PluginFailedError):
        await ask(name, lambda: answer)


@pytest.mark.parametrize("name", EVERY)
async def test_a_coroutine_or_a_generator_in_place_of_an_answer_is_its_failure(name: str) -> None:
    for make in (stream, nothing) if name in AWAITED else (stream,):
        with pytest.raises(PluginFailedError):
            await ask(name, make)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("check", ConnectionReport(outcome="fine", message="")),  # type: ignore[arg-type]
        ("check", ConnectionReport(outcome=Outcome.OK, message=None)),  # type: ignore[arg-type]
        ("check", ConnectionReport(outcome=Outcome.OK, message="", models="abc")),  # type: ignore[arg-type]
        ("try_model", ModelReport(outcome="ok!", message="")),  # type: ignore[arg-type]
        ("try_model", ModelReport(outcome=Outcome.OK, message="", details=7)),  # type: ignore[arg-type]
        ("discover", Discovery(models=None)),  # type: ignore[arg-type]
        ("discover", Discovery(models=(), failure=ValueError(KEY))),  # type: ignore[arg-type]
        ("authorize", replace(REQUEST, url=None)),
        ("authorize", replace(REQUEST, method=7)),
        ("authorize", replace(REQUEST, headers=None)),
        ("authorize", replace(REQUEST, headers={"x": 7})),
        ("authorize", replace(REQUEST, headers={7: "x"})),
        ("client_config", {7: "x"}),
        ("base_url", "https://a.example/" + "x" * 10_000),
        ("openai_model_name", "x" * (LONGEST_MODEL_NAME + 1)),
    ],
)
async def test_an_answer_filled_with_something_else_than_it_declares_is_its_failure(name: str, answer: object) -> None:
    with pytest.raises(PluginFailedError) as caught:
        await ask(name, lambda: answer)
    assert KEY not in str(caught.value)


async def test_a_report_that_cannot_be_read_is_its_failure() -> None:
    with pytest.raises(PluginFailedError):
        await ask("check", lambda: OddReport(outcome=Outcome.OK, message=""))


def found(*names: Any) -> Callable[[], Discovery]:
    return lambda: Discovery(models=tuple(DiscoveredModel(name=name, type=LANGUAGE) for name in names))


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", " gpt", "gpt ", "\ud800", "\x00", "a\u200b", "x" * 301, KEY, None, 7, b"a"]
)
async def test_a_model_nobody_could_register_is_left_out_and_counted(name: Any) -> None:
    discovery = await ask("discover", found("good", name))
    assert ([one.name for one in discovery.models], discovery.withheld) == (["good"], 1)
    report = await ask("check", lambda: ConnectionReport(outcome=Outcome.OK, message="", models=("good", name)))
    assert report.models == ("good",)


async def test_a_model_that_is_listed_twice_is_found_once() -> None:
    discovery = await ask("discover", found("m", "m", "n"))
    assert ([one.name for one in discovery.models], discovery.withheld) == (["m", "n"], 0)


async def test_a_type_the_provider_does_not_declare_is_left_empty() -> None:
    models = tuple(DiscoveredModel(name=type.value, type=type) for type in Modality)
    discovery = await ask("discover", lambda: Discovery(models=models))
    assert {one.name for one in discovery.models if one.type is not None} == {"language", "embedding"}
    assert discovery.withheld == 0


async def test_more_models_than_anybody_has_are_left_out() -> None:
    models = tuple(DiscoveredModel(name=f"m{n}", type=LANGUAGE) for n in range(MOST_MODELS + 5))
    discovery = await ask("discover", lambda: Discovery(models=models))
    assert (len(discovery.models), discovery.withheld) == (MOST_MODELS, 5)


@pytest.mark.parametrize("name", ["discover", "check"])
async def test_others_go_on_while_a_long_list_is_read(name: str) -> None:
    names = [f"vendor/model-{n}" for n in range(300)]
    answer = found(*names)() if name == "discover" else ConnectionReport(outcome=Outcome.OK, message="", models=names)  # type: ignore[arg-type]
    asked = asyncio.ensure_future(ask(name, lambda: answer))
    turns = 0
    while not asked.done():
        await asyncio.sleep(0)
        turns += 1
    assert len((await asked).models) == 300
    assert turns >= 300


class Sly(str):
    """Text that says something else when it is asked."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"

    isprintable = strip = __len__ = lambda *_: 1  # type: ignore[assignment]


async def test_text_of_a_strangers_class_is_made_plain_text() -> None:
    discovery = await ask("discover", found(Sly("m")))
    report = await ask(
        "check",
        lambda: ConnectionReport(outcome=Sly("ok"), message=Sly("fine\x07"), models=(Sly("m"),)),  # type: ignore[arg-type]
    )
    url = await ask("base_url", lambda: Sly("https://a.example/v1/"))
    assert {type(one) for one in (discovery.models[0].name, report.message, report.models[0], url)} == {str}
    assert (discovery.models[0].name, report.message, url) == ("m", "fine ", "https://a.example/v1")
    assert report.outcome is Outcome.OK


async def test_a_fallback_without_a_reason_is_a_fallback_all_the_same() -> None:
    discovery = await ask("discover", lambda: Discovery(models=(), failure=""))
    assert discovery.failure
