"""What of a call goes on to a provider, by its declaration."""

import pytest
from msgspec.structs import replace
from tests.headers import FUNCTIONAL, IDENTITY
from tests.house import plain_spec

from keycairn.domain.pass_through import header_fault, is_operation, names_identity, operation_fault
from keycairn.domain.provider_faults import spec_faults


@pytest.mark.parametrize(
    ("operation", "passes", "stays"),
    [
        ("POST chat/completions", ["POST chat/completions"], ["GET chat/completions", "POST chat/completions/x"]),
        ("GET models", ["GET models", "HEAD models"], ["DELETE models", "OPTIONS models", "GET models/x", "GET model"]),
        ("GET models/*", ["GET models/ft:a"], ["GET models", "GET models/a/b", "DELETE models/ft:a"]),
        ("GET models/**", ["GET models/a", "GET models/a/b/c"], ["GET models", "GET models/", "GET modelsx/a"]),
        (
            "POST models/*:generateContent",
            ["POST models/gemini:generateContent"],
            ["POST models/:generateContent", "POST models/gemini:generateContentX", "POST models/a/b:generateContent"],
        ),
        ("DELETE voices/*", ["DELETE voices/x"], ["HEAD voices/x", "GET voices/x"]),
        ("POST a.c", ["POST a.c"], ["POST abc"]),
    ],
)
def test_an_operation_is_one_method_and_one_form_of_path(operation: str, passes: list[str], stays: list[str]) -> None:
    assert operation_fault(operation) is None
    for call in passes:
        assert is_operation((operation,), *call.split(" ")), call
    for call in stays:
        assert not is_operation((operation,), *call.split(" ")), call


@pytest.mark.parametrize(
    "text",
    [
        "chat",
        "post chat",
        "POST /chat",
        "POST chat/",
        "POST a//b",
        "POST a/../b",
        "POST .",
        "POST a b",
        "FETCH a",
        "OPTIONS a",
        "HEAD a",
        "POST a?b",
        "POST a%2fb",
        "",
        " ",
        "POST ",
        "POST a\n",
    ],
)
def test_an_operation_of_another_form_is_a_fault_of_the_plugin(text: str) -> None:
    assert operation_fault(text)
    assert any(
        "native operation" in fault for fault in spec_faults(replace(plain_spec("x"), native_operations=(text,)))
    )


@pytest.mark.parametrize("name", IDENTITY)
def test_no_plugin_can_ask_for_a_header_that_tells_who_the_client_is(name: str) -> None:
    assert header_fault(name.lower())
    assert any("request header" in fault for fault in spec_faults(replace(plain_spec("x"), request_headers=(name,))))


@pytest.mark.parametrize("name", [*FUNCTIONAL, "x-title", "http-referer", "x-grok-conv-id", "x-acme-region"])
def test_a_plugin_can_ask_for_a_header_that_says_what_is_wanted(name: str) -> None:
    assert header_fault(name) is None


@pytest.mark.parametrize("name", ["", "X-Title", "x title", "x:title", "x\r\nauthorization", "é", "x" * 65])
def test_what_is_no_name_of_a_header_is_a_fault_of_the_plugin(name: str) -> None:
    assert header_fault(name)


@pytest.mark.parametrize(
    "query",
    [
        "key=AIza",
        "alt=sse&KEY=x",
        "access_token=x",
        "a=1;key=x",
        "%6bey=x",
        "$userProject=p",
        "quotaUser=x",
        "api-key=",
        "token=x",
        "api_key",
        "_method=DELETE",
        "%24httpMethod=DELETE",
        "key%00=x",
        "ke%00y=x",
        "k%E2%80%8Bey=x",
        "key%0d%0a=x",
        "key%7f=x",
        "&" * 2000,
    ],
)
def test_a_query_that_says_who_calls_is_told_from_others(query: str) -> None:
    assert names_identity(query)


@pytest.mark.parametrize("query", ["", "alt=sse", "api-version=2024-10-21", "limit=2&after=x", "model=a&keyterm=key"])
def test_a_query_that_says_what_is_wanted_passes(query: str) -> None:
    assert not names_identity(query)
