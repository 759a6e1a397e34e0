"""The model's name in a query: the same as the body's, or refused; replaced without touching anything else."""

from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.app.gateway.query_naming import check_query_model, query_with_model
from keycairn.domain.errors import RequestRefusedError

SPELLINGS = st.sampled_from(["model", "%6Dodel", "mode%6c", "Model", "MODEL", "+model", "model%20"])
OTHERS = st.dictionaries(st.text(max_size=8).filter(lambda name: name.strip().lower() != "model"), st.text(max_size=8))


@given(OTHERS, SPELLINGS, OTHERS, st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_only_the_models_name_changes(
    before: dict[str, str], spelled: str, after: dict[str, str], old: str, new: str
) -> None:
    head, tail = urlencode(before), urlencode(after)
    query = f"{head}&{spelled}={quote(old, safe='')}&{tail}"

    check_query_model(query, old)
    changed = query_with_model(query, new)

    assert changed == f"{head}&{spelled}={quote(new, safe='')}&{tail}"
    assert new in dict(parse_qsl(changed, keep_blank_values=True)).values()


@given(OTHERS)
def test_a_query_without_a_model_goes_on_as_it_is(others: dict[str, str]) -> None:
    query = urlencode(others)

    check_query_model(query, "m")

    assert query_with_model(query, "new") == query


@pytest.mark.parametrize(
    "query",
    [
        "model=other",
        "model",
        "model=",
        "model=m&model=other",
        "model=other&model=m",
        "%6dodel=other",
        "MODEL=other",
        "a=1;model=other",
        "a=1;model=m",
        "model=m;b=2",
        "model=M",
        "model=m%20",
    ],
)
def test_a_query_that_names_another_model_is_refused(query: str) -> None:
    with pytest.raises(RequestRefusedError):
        check_query_model(query, "m")


@pytest.mark.parametrize("query", ["", "a", "a&b=", "model_id=x", "a=model", "a=1;b=2", "a=&model=m&"])
def test_other_queries_are_not(query: str) -> None:
    check_query_model(query, "m")
