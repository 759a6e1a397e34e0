"""The page's small parts: its files, its words for times and numbers, its plots, the key of its forms."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from litestar.datastructures import FormMultiDict

from keycairn.app.page.assets import ASSETS
from keycairn.app.page.forms import PageForm, check_key, masked
from keycairn.app.page.plots import bars
from keycairn.app.page.rendering import counted, host, moment, span
from keycairn.domain.errors import ForeignOriginError

FOLDER = Path(__file__).parents[2] / "app/page"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_its_files_are_small_and_found_by_their_hash() -> None:
    assert sum(len(asset.body) for asset in ASSETS.values()) < 120_000
    assert {*ASSETS} == {file.name for file in (FOLDER / "static").iterdir()}
    assert len({asset.path for asset in ASSETS.values()}) == len(ASSETS)


@pytest.mark.parametrize("word", ["|safe }}{{", "style=", "onclick", "http://", "https://", "<script>"])
def test_no_template_asks_for_what_the_policy_forbids(word: str) -> None:
    for file in (FOLDER / "templates").iterdir():
        assert word not in file.read_text(), file.name


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (86_400, "1 day"), (10**7, "115 days")],
)
def test_a_span_is_told_in_its_largest_unit(seconds: int, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


def test_a_moment_has_the_exact_time_behind_it() -> None:
    said = moment(NOW - timedelta(minutes=3), NOW)
    assert ">3 min ago<" in said
    assert "11:57:00 UTC" in said
    assert ">in 2 h<" in moment(NOW + timedelta(hours=2), NOW)
    assert ">in 90 days<" in moment(NOW + timedelta(days=90) - timedelta(seconds=3), NOW)
    assert ">in 1 h<" in moment(NOW + timedelta(minutes=59, seconds=40), NOW)


def test_the_name_of_a_host_breaks_between_its_words_only() -> None:
    assert host("my-own.api.example:8080") == "my-<wbr>own.<wbr>api.<wbr>example:<wbr>8080"
    assert host("<b>.example") == "&lt;b&gt;.<wbr>example"


def test_numbers_have_their_word() -> None:
    assert [counted(1, "model"), counted(12_000, "model"), counted(2, "key", "keys")] == [
        "1 model",
        "12,000 models",
        "2 keys",
    ]


def test_a_plot_says_in_words_what_it_shows() -> None:
    plot = bars([("Monday", 3.0), ("Tuesday", 9.0), ("Wednesday", 0.0)], "Calls", "calls")
    assert plot.description == "12 calls in all; most on Tuesday: 9."
    assert [bar.height for bar in plot.bars][2] == 0
    assert max(bar.height for bar in plot.bars) + 14 <= plot.base
    assert all(bar.x + bar.width <= plot.width for bar in plot.bars)
    assert bars([("Monday", 0.0)], "Calls", "calls").description == "No calls in this time."


def test_a_form_s_key_is_another_text_each_time_and_good_for_its_session_only() -> None:
    key, other = bytes(range(32)), bytes(32)
    assert len({masked(key) for _ in range(9)}) == 9
    check_key(masked(key), key)
    for text in (masked(other), "", "x", masked(key)[:-2], "ä" * 86):
        with pytest.raises(ForeignOriginError):
            check_key(text, key)


def test_what_comes_back_in_a_page_holds_no_secret() -> None:
    form = PageForm(FormMultiDict([("name", " a "), ("secret:api_key", "sk-canary"), ("secret:token", "kc_canary")]))
    assert form.shown() == {"name": "a"}
    assert "canary" not in repr(form)
    found = form.secret("api_key")
    assert found is not None
    assert found.reveal() == "sk-canary"
