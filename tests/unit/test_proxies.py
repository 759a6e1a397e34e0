"""Where a request comes from: an address, and nobody's word but that of the proxies that were named."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.app.ingress.proxies import Proxies
from keycairn.app.settings import read_settings
from keycairn.domain.address import counted_as, parse_address
from keycairn.domain.errors import SettingsError

PROXY = "10.1.0.9"
TRUSTING = Proxies(("10.1.0.0/16", "fd00:1::/64", "::1"))


def lines(*values: str, proto: str = "") -> list[tuple[bytes, bytes]]:
    told = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
    return [*told, (b"x-forwarded-proto", proto.encode())] if proto else told


@pytest.mark.parametrize("proxies", [Proxies(), Proxies(("10.9.0.0/16",))])
def test_without_a_trusted_proxy_nobodys_word_counts(proxies: Proxies) -> None:
    for peer in ("127.0.0.1", "::1", PROXY, "203.0.113.7"):
        assert proxies.source(peer, lines("198.51.100.1", proto="https")) == (peer, None)


@pytest.mark.parametrize(
    ("told", "source"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["192.0.2.66, 198.51.100.1"], "198.51.100.1"),
        (["192.0.2.66", "198.51.100.1"], "198.51.100.1"),
        (["192.0.2.66, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        (["192.0.2.66, 198.51.100.1", "10.1.2.3", "fd00:1::5"], "198.51.100.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:DB8:0:0::1"], "2001:db8::1"),
        (["fe80::1%eth0"], "fe80::1"),
        (["[fe80::1%25eth0]"], "fe80::1"),
        (["fe80::1%<script>"], PROXY),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        (["192.0.2.66, ::ffff:10.1.2.3"], "192.0.2.66"),
        (["10.1.0.1, 10.1.0.2"], "10.1.0.1"),
        ([""], PROXY),
        ([], PROXY),
        (["unknown"], PROXY),
        (["192.0.2.66, _hidden"], PROXY),
        (["192.0.2.66, <script>, 10.1.2.3"], "10.1.2.3"),
        (["192.0.2.66, 1.2.3.4.5"], PROXY),
        (["192.0.2.66, 0x7f.1"], PROXY),
        (["192.0.2.66, 127.1"], PROXY),
        (["192.0.2.66, 010.1.0.1"], PROXY),
        (["192.0.2.66,"], PROXY),
        (["198.51.100.1, " * 100 + "10.1.2.3"], "198.51.100.1"),
        (["198.51.100.1, " + "10.1.2.3, " * 100 + "10.1.2.4"], "10.1.2.3"),
        (["198.51.100." + "1" * 5000], PROXY),
    ],
)
def test_the_last_hop_that_is_no_proxy_of_ours_is_the_source(told: list[str], source: str) -> None:
    assert TRUSTING.source(PROXY, lines(*told))[0] == source


def test_forwarded_is_not_read() -> None:
    assert TRUSTING.source(PROXY, [(b"forwarded", b"for=198.51.100.1;proto=https")]) == (PROXY, None)


@pytest.mark.parametrize(
    ("proto", "scheme"), [("https", "https"), ("HTTP", "http"), ("http, https", "https"), ("ftp", None), ("", None)]
)
def test_the_scheme_is_that_of_the_nearest_proxy(proto: str, scheme: str | None) -> None:
    assert TRUSTING.source(PROXY, lines("198.51.100.1", proto=proto))[1] == scheme
    assert TRUSTING.source("203.0.113.1", lines("198.51.100.1", proto=proto))[1] is None


@given(st.text(max_size=120), st.lists(st.text(st.characters(max_codepoint=255), max_size=80), max_size=4))
def test_a_source_is_an_address_or_nothing(peer: str, told: list[str]) -> None:
    for proxies in (Proxies(), TRUSTING):
        for end in (peer, PROXY):
            source, _ = proxies.source(end, lines(*told))
            assert source == "" or str(ip_address(source)) == source
            assert "%" not in source


def test_a_client_has_one_address_however_it_is_written() -> None:
    assert {counted_as(text) for text in ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1:80", "[::ffff:c000:201]")} == {
        "192.0.2.1"
    }
    assert counted_as("2001:db8:0:1::5") == counted_as("[2001:db8:0:1:ffff::9%eth1]:443") == "2001:db8:0:1::"
    assert counted_as("2001:db8:0:2::5") != counted_as("2001:db8:0:1::5")
    assert counted_as("testclient") == counted_as("") == ""
    assert parse_address("1.2.3.4 ") is not None
    assert parse_address("1.2.3.4\n") is None


def test_the_setting_takes_addresses_and_networks_and_says_so() -> None:
    read = read_settings({"KEYCAIRN_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,::1 , fd00::/8"})
    assert read.trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8")
    assert read_settings({}).trusted_proxies == ()
    for wrong in ("*", "proxy.lan", "10.0.0.1/8", "0.0.0.0/0", "::/0", "::ffff:0:0/96", "10.0.0.0/33", "fe80::1%eth0"):
        with pytest.raises(SettingsError, match="KEYCAIRN_TRUSTED_PROXIES takes the addresses"):
            read_settings({"KEYCAIRN_TRUSTED_PROXIES": wrong})
