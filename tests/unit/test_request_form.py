"""Requests that two readers could understand differently are refused, whatever else they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.app.gateway.headers import forwarded, received
from keycairn.app.gateway.presented import presented_token
from keycairn.app.gateway.routes import check_plain
from keycairn.app.ingress.form import LONGEST_TARGET, check_form
from keycairn.app.statuses import api_status
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import AmbiguousRequestError, IngressError, NoRouteError

PLAIN = {"host": "localhost", "authorization": "Bearer x", "content-type": "application/json", "content-length": "2"}


def scope(path: str = "/api/credentials", query: str = "", version: str = "1.1", **headers: str) -> Any:
    given = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"raw_path": path.encode(), "query_string": query.encode(), "http_version": version, "headers": given}


def twice(name: str) -> Any:
    made = scope(**PLAIN)
    made["headers"] += [(name.encode(), b"1"), (name.encode(), b"1")]
    return made


def status(made: Any) -> int:
    try:
        check_form(made)
    except IngressError as error:
        return api_status(error)
    return 200


GOOD_PATHS = [
    "/",
    "/api/credentials/credential:01KDWE9G000000000000000004/test",
    "/api/credentials/credential%3A01KDWE9G000000000000000004",
    "/api/providers/openai_compatible",
    "/native/credential:x/models/gemini-2.5-flash:generateContent",
    "/v1/models/ft:gpt-4o@2024,1",
    "/a%20b/%C3%A9",
    "/.well-known/x",
    "/api/...",
]
BAD_PATHS = [
    "api",
    "//evil.example/api",
    "/api//credentials",
    "/api/../credentials",
    "/api/./credentials",
    "/api/..",
    "/api/%2e%2e/x",
    "/api/.%2E/x",
    "/api/%252e%252e/x",
    "/api/%25252e/x",
    "/api/x%00",
    "/api/%c0%ae%c0%ae/x",
    "/api/%c0%afx",
    "/api/x%2fy",
    "/api/x%2Fy",
    "/api/x%5cy",
    "/api/x\\y",
    "/api/x;y=1",
    "/api/x%3by",
    "/api/x%0d%0ay",
    "/api/x%09y",
    "/api/x%7f",
    "/api/x%c2%85",
    "/api/x%3fy",
    "/api/x%23y",
    "/api/x#y",
    "/api/x%",
    "/api/x%2",
    "/api/x%zz",
    "/api/x y",
    "/api/x\ty",
    "/api/{id}",
    '/api/"x"',
    "/api/%ef%bc%8e%ef%bc%8e/x",  # full-width dots
    "/api/x%ef%bc%8fy",  # a full-width slash
    "/api/x%ef%bc%85y",  # a full-width percent
    "/api/%e2%80%a5/x",  # two dot leader
    "/api/x%e2%80%ae",  # right-to-left override
    "/api/x%ed%a0%80",  # half of a surrogate pair
    "/api/x%u002e",
    "/%61pi/credentials",
    "/api/credential%73",
    "/api/x%30",
    "/api/%5A",
]


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_plain_paths_pass(path: str) -> None:
    check_form(scope(path, **PLAIN))


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_another_reader_reads_otherwise_do_not(path: str) -> None:
    assert status(scope(path, **PLAIN)) == 400
    if path.startswith("/"):
        with pytest.raises(NoRouteError):
            check_plain(path.removeprefix("/"))


@given(st.text(st.sampled_from("./\\%;#25eEfFcC3b0xu"), max_size=12))
def test_a_path_that_passes_means_the_same_however_often_it_is_decoded(text: str) -> None:
    made = scope("/native/x/" + text)
    try:
        check_form(made)
    except AmbiguousRequestError:
        return
    assert "%25" not in text
    assert not {".", ".."} & set(made["raw_path"].decode().split("/"))
    assert not set(text) & set("\\;#")


def test_a_models_name_may_hold_a_slash_where_the_path_ends_with_us() -> None:
    check_form(scope("/v1/models/openai%2Fgpt-4o"), names=True)
    for bad in ("/v1/models/openai%2F..%2Fx", "/v1/models/openai%252Fx", "/v1/models/openai%5Cx"):
        with pytest.raises(AmbiguousRequestError):
            check_form(scope(bad), names=True)


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "x-api-key", "api-key", "x-goog-api-key", "host", "content-type", "content-length"),
        *("content-encoding", "transfer-encoding", "expect", "origin", "if-match", "sec-fetch-site", "upgrade"),
        *("range", "cookie", "idempotency-key", "anthropic-version", "xi-api-key", "access-control-request-method"),
    ],
)
def test_what_may_be_there_once_is_not_there_twice(name: str) -> None:
    assert status(twice(name)) == 400


def test_what_may_be_there_twice_may() -> None:
    assert status(twice("accept")) == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"transfer_encoding": "chunked"}, 200),
        ({"transfer_encoding": "Chunked"}, 200),
        ({"transfer_encoding": "gzip, chunked"}, 501),
        ({"transfer_encoding": "chunked, chunked"}, 501),
        ({"transfer_encoding": "chunked;q=1"}, 501),
        ({"transfer_encoding": "identity"}, 501),
        ({"transfer_encoding": ""}, 501),
        ({"transfer_encoding": "chunked", "content_length": "3"}, 400),
        ({"transfer_encoding": "chunked", "version": "1.0"}, 400),
        ({"content_length": "+3"}, 400),
        ({"content_length": "3, 3"}, 400),
        ({"content_length": ""}, 400),
        ({"content_length": "\xb2"}, 400),
        ({"content_encoding": "gzip"}, 415),
        ({"content_encoding": "identity, br"}, 415),
        ({"content_encoding": "identity"}, 200),
        ({"expect": "100-Continue"}, 200),
        ({"expect": "200-ok"}, 417),
        ({"upgrade": "websocket", "connection": "upgrade"}, 400),
        ({"upgrade": "h2c"}, 400),
        ({"query": "a=b&c=%20"}, 200),
        ({"query": "a=b c"}, 400),
        ({"query": "a=\x01"}, 400),
        ({"query": "a" * LONGEST_TARGET}, 414),
    ],
)
def test_a_request_has_one_form(headers: dict[str, str], expected: int) -> None:
    assert status(scope(**headers)) == expected


def test_several_places_for_a_token_hold_the_same_or_the_call_is_refused() -> None:
    assert presented_token({b"authorization": b"bearer t ", b"x-api-key": b"t"}).reveal() == "t"
    assert presented_token({b"authorization": b"", b"x-goog-api-key": b"t"}).reveal() == "t"
    assert presented_token({b"authorization": b"Token t"}).reveal() == "t"
    assert presented_token({b"xi-api-key": b"t"}).reveal() == "t"
    assert presented_token({b"accept": b"*/*"}).reveal() == ""
    assert presented_token({b"api-key": b"\xff"}).reveal() == ""
    places = [(b"authorization", b"Bearer t"), (b"x-api-key", b"u"), (b"api-key", b"v"), (b"x-goog-api-key", b"w")]
    for index, first in enumerate(places):
        for second in places[index + 1 :]:
            with pytest.raises(AmbiguousRequestError):
                presented_token(dict([first, second]))
    with pytest.raises(AmbiguousRequestError):
        presented_token({b"authorization": b"Basic dDp1", b"x-api-key": b"t"})


@pytest.mark.parametrize(
    "name",
    [
        *("x-original-url", "x-rewrite-url", "x-http-method-override", "x-method-override", "x-http-method"),
        *("x-forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-real-ip", "forwarded"),
        *("x-original-uri", "x-original-host", "true-client-ip"),
    ],
)
def test_headers_that_proxies_act_on_reach_no_provider(name: str) -> None:
    for dialect in (None, *Dialect):
        given = received([(name.encode(), b"/admin"), (b"accept", b"*/*")])
        assert forwarded(given, dialect, ()) == {"accept": "*/*"}
