"""Pages in a browser: our own may send requests, those of the list too, all others only their visitors."""

from typing import Any

import pytest

from keycairn.app.ingress.origins import From, Origins, is_preflight, parse_public_url, preflight_headers
from keycairn.app.server import hosts_of
from keycairn.app.settings import Settings, read_settings
from keycairn.domain.errors import ForeignOriginError, SettingsError

ORIGINS = Origins(
    ("https://App.example.com:443", "http://localhost:3000"), parse_public_url("https://keys.example.com/cairn/")
)
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def scope(method: str = "POST", scheme: str = "http", host: str = "127.0.0.1:8765", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(b"host", host.encode()), *((name.encode(), value.encode("latin-1")) for name, value in named.items())]
    return {"method": method, "scheme": scheme, "headers": pairs}


@pytest.mark.parametrize(
    ("headers", "sender"),
    [
        ({}, From.NO_PAGE),
        ({"sec_fetch_site": "none"}, From.NO_PAGE),
        ({"sec_fetch_site": "same-origin"}, From.NO_PAGE),
        ({"origin": "http://127.0.0.1:8765", "sec_fetch_site": "same-origin"}, From.NO_PAGE),
        ({"origin": "http://127.0.0.1:8765"}, From.NO_PAGE),
        ({"origin": "http://127.0.0.1", "host": "127.0.0.1:80"}, From.NO_PAGE),
        ({"origin": "https://keys.example.com", "sec_fetch_site": "same-origin"}, From.NO_PAGE),
        ({"origin": "https://x.example", "host": "x.example", "scheme": "https"}, From.NO_PAGE),
        ({"origin": "https://app.example.com", "sec_fetch_site": "cross-site"}, From.ALLOWED_PAGE),
        ({"origin": "http://localhost:3000", "sec_fetch_site": "same-site"}, From.ALLOWED_PAGE),
        ({"method": "GET", "sec_fetch_site": "cross-site", **NAVIGATION}, From.NAVIGATION),
        ({"method": "GET", "sec_fetch_site": "same-site", **NAVIGATION}, From.NAVIGATION),
    ],
)
def test_who_may(headers: dict[str, str], sender: From) -> None:
    assert ORIGINS.judge(scope(**headers))[0] is sender


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "null", "sec_fetch_site": "same-origin"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:8766"},
        {"origin": "http://127.0.0.1"},
        {"origin": "https://127.0.0.1:8765"},
        {"origin": "http://keys.example.com"},
        {"origin": "https://keys.example.com:444"},
        {"origin": "https://keys.example.com.evil.example"},
        {"origin": "https://evil.example/https://keys.example.com"},
        {"origin": "https://app.example.com "},
        {"origin": "https://app.example.com, https://evil.example"},
        {"origin": "https://app.example.com.", "sec_fetch_site": "cross-site"},
        {"origin": "https://sub.app.example.com"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "garbage"},
        {"sec_fetch_site": ""},
        {"origin": "http://127.0.0.1:8765", "sec_fetch_site": "cross-site"},
        {"method": "GET", "sec_fetch_site": "cross-site"},
        {"method": "GET", "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"method": "GET", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
        {"method": "GET", "sec_fetch_site": "cross-site", "sec_fetch_mode": "cors", "sec_fetch_dest": "document"},
        {"method": "GET", "origin": "null", "sec_fetch_site": "cross-site", **NAVIGATION},
        {"method": "POST", "sec_fetch_site": "cross-site", **NAVIGATION},
        {"method": "HEAD", "sec_fetch_site": "cross-site", **NAVIGATION},
        {"method": "OPTIONS", "origin": "https://evil.example", "access_control_request_method": "GET"},
    ],
)
def test_who_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(ForeignOriginError):
        ORIGINS.judge(scope(**headers))


def test_two_origins_are_nobodys() -> None:
    made = scope(origin="http://localhost:3000")
    made["headers"].append((b"origin", b"http://localhost:3000"))
    with pytest.raises(ForeignOriginError):
        ORIGINS.judge(made)


def test_without_a_list_no_page_elsewhere_may() -> None:
    with pytest.raises(ForeignOriginError):
        Origins().judge(scope(origin="http://localhost:3000"))


def test_a_preflight_is_told_what_it_asked_for_and_nothing_that_is_no_name() -> None:
    asked = scope(
        "OPTIONS",
        origin="http://localhost:3000",
        access_control_request_method="PUT",
        access_control_request_headers="authorization, x-stainless-os, a b, \u00e9, ",
        access_control_request_private_network="true",
    )
    assert is_preflight(asked)
    assert not is_preflight(scope("OPTIONS", origin="http://localhost:3000"))
    told = dict(preflight_headers(asked, b"http://localhost:3000"))
    assert told[b"access-control-allow-origin"] == b"http://localhost:3000"
    assert told[b"access-control-allow-headers"] == b"authorization, x-stainless-os"
    assert b"PUT" in told[b"access-control-allow-methods"]
    assert told[b"access-control-allow-private-network"] == b"true"
    assert b"Origin" in told[b"vary"]
    assert b"access-control-allow-credentials" not in told


def test_the_settings_take_origins_and_an_address_and_say_so() -> None:
    read = read_settings(
        {
            "KEYCAIRN_CORS_ORIGINS": "https://a.example, app://obsidian.md",
            "KEYCAIRN_PUBLIC_URL": "https://Keys.example.com:443/cairn/",
        }
    )
    assert read.cors_origins == ("https://a.example", "app://obsidian.md")
    assert parse_public_url(read.public_url).base == "https://keys.example.com/cairn"
    assert parse_public_url("http://[::1]:8080").host == "[::1]:8080"
    for wrong in ("*", "null", "https://a.example/", "https://a.example/x", "a.example", "https://*.a.example"):
        with pytest.raises(SettingsError, match="KEYCAIRN_CORS_ORIGINS takes origins"):
            read_settings({"KEYCAIRN_CORS_ORIGINS": f"https://ok.example,{wrong}"})
    for wrong in (
        *("keys.example.com", "ftp://x.example", "https://", "https://u:p@x.example", "https://x.example?a=b"),
        *(
            "https://x.example/#a",
            "https://x.example/../a",
            "https://x.example:0",
            "https://x.example/a b",
            "https://[",
        ),
        "https://x.example/%2e",
    ):
        with pytest.raises(SettingsError, match="KEYCAIRN_PUBLIC_URL must look like"):
            read_settings({"KEYCAIRN_PUBLIC_URL": wrong})


def test_the_public_name_is_answered_to() -> None:
    hosts = hosts_of(Settings(public_url="https://keys.example.com/cairn"))
    assert hosts.accept(b"keys.example.com")
    assert not hosts.accept(b"other.example.com")
    assert hosts_of(Settings(public_url="https://keys.example.com:8443")).accept(b"keys.example.com:8443")
