from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.egress import CATEGORIES, Case, each

from keycairn.domain.egress import AddressKind, EgressPolicy, kind_of_address, parse_allow
from keycairn.domain.errors import EgressRefusedError, SettingsError, UrlRefusedError
from keycairn.domain.url import parse_target, parse_url


def verdict(case: Case, *, strict: bool) -> str:
    """By what is said at validation, then at each connection: a name that changes its answer is judged anew."""
    policy = EgressPolicy(strict=strict)
    try:
        url = parse_url(case["url"])
        policy.judge_url(url)
        for answers in case.get("dns_seq", {}).get(url.host, [case.get("dns", {}).get(url.host, [])]):
            for address in answers:
                policy.judge_address(url, address)
    except (UrlRefusedError, EgressRefusedError):
        return "block"
    return "allow"


@pytest.mark.parametrize("strict", [False, True], ids=["self-hosted", "strict"])
@pytest.mark.parametrize("category", CATEGORIES)
async def test_every_known_trick_is_refused_and_every_harmless_url_allowed(category: str, *, strict: bool) -> None:
    async def judged(case: Case) -> None:
        assert verdict(case, strict=strict) == case["verdict"], case["why"]

    await each(category, judged, strict=strict)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", AddressKind.PUBLIC),
        ("2606:4700::1", AddressKind.PUBLIC),
        ("64:ff9b::8.8.8.8", AddressKind.PUBLIC),
        ("64:ff9b::10.0.0.1", AddressKind.NEVER),
        ("64:ff9b::192.0.2.1", AddressKind.NEVER),
        ("192.0.0.192", AddressKind.NEVER),
        ("192.0.0.9", AddressKind.SPECIAL),
        ("fd00:ec2::254", AddressKind.NEVER),
        ("fd00:ec3::254", AddressKind.PRIVATE),
        ("2600::5efe:808:808", AddressKind.NEVER),
        ("fe80::1%eth0", AddressKind.NEVER),
        ("::2", AddressKind.NEVER),
        ("4000::1", AddressKind.SPECIAL),
        ("not an address", AddressKind.NEVER),
        ("", AddressKind.NEVER),
    ],
)
def test_an_address_is_judged_by_where_it_leads(address: str, kind: AddressKind) -> None:
    assert kind_of_address(address) is kind


@given(st.ip_addresses(v=4))
def test_no_ipv6_spelling_of_an_ipv4_address_gets_further_than_the_address_itself(address: Any) -> None:
    number = int(address)
    spellings = [
        f"::ffff:{address}",
        f"::ffff:0:{number >> 16:x}:{number & 0xFFFF:x}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ]
    for spelling in spellings:
        assert kind_of_address(spelling) in {AddressKind.NEVER, kind_of_address(str(address))}


@given(st.text(max_size=60) | st.from_regex(r"https?://[\w.:@%\[\]/?#\\-]{0,40}"))
def test_any_text_either_parses_to_one_canonical_form_or_is_refused_without_an_echo(text: str) -> None:
    try:
        url = parse_url(text)
    except UrlRefusedError as error:
        refusal = str(error)
        assert len(text) < 20 or text not in refusal
        return
    again = parse_url(url.origin + url.path)
    assert again == url
    assert parse_target(text) == url


class TestTheAllowList:
    def test_lifts_the_policy_for_an_origin_or_a_network(self) -> None:
        policy = EgressPolicy(strict=True, allow=parse_allow(["http://LLM.example:80", "10.0.0.0/8", "192.0.2.0/24"]))
        policy.judge_address(parse_url("http://llm.example"), "8.8.8.8")
        policy.judge_address(parse_url("http://llm.example"), "192.168.1.1")
        policy.judge_url(parse_url("http://10.1.2.3:8000"))
        policy.judge_url(parse_url("http://192.0.2.7"))
        with pytest.raises(EgressRefusedError):
            policy.judge_address(parse_url("https://llm.example"), "192.168.1.1")

    @pytest.mark.parametrize("host", ["169.254.169.254", "100.100.100.200", "[fd00:ec2::254]", "0.0.0.0"])
    def test_never_lifts_metadata(self, host: str) -> None:
        allow = parse_allow([f"http://{host}", "0.0.0.0/0", "::/0"])
        with pytest.raises(UrlRefusedError):
            EgressPolicy(allow=allow).judge_url(parse_url(f"http://{host}"))

    def test_never_lifts_a_metadata_name(self) -> None:
        allow = parse_allow(["http://metadata.google.internal"])
        with pytest.raises(UrlRefusedError):
            EgressPolicy(allow=allow).judge_url(parse_url("http://metadata.google.internal"))

    def test_lets_a_key_go_in_the_clear_for_an_origin_but_not_for_a_network(self) -> None:
        policy = EgressPolicy(allow=parse_allow(["http://llm.example", "0.0.0.0/0"]))
        policy.judge_address(parse_url("http://llm.example"), "8.8.8.8")
        with pytest.raises(EgressRefusedError, match="in the clear"):
            policy.judge_address(parse_url("http://other.example"), "8.8.8.8")

    def test_opens_a_service_port_by_origin_only(self) -> None:
        policy = EgressPolicy(allow=parse_allow(["http://llm.lan:6379", "10.0.0.0/8"]))
        policy.judge_url(parse_url("http://llm.lan:6379"))
        with pytest.raises(UrlRefusedError, match="another kind of service"):
            policy.judge_url(parse_url("http://10.0.0.1:6379"))

    @pytest.mark.parametrize(
        "entry",
        [
            *("llm.example", "10.0.0.1/8", "ftp://x", "https://a.example/?x", "https://a.example/v1", "*", ""),
            "https://user:canary@a.example",
        ],
    )
    def test_refuses_what_is_neither_and_says_which_without_an_echo(self, entry: str) -> None:
        with pytest.raises(SettingsError, match="Entry 2 of KEYCAIRN_EGRESS_ALLOW") as refused:
            parse_allow(["10.0.0.0/8", entry])
        assert "canary" not in str(refused.value)


class TestOurselves:
    @pytest.mark.parametrize("own", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "::"])
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1"])
    def test_are_no_destination_by_whatever_loopback_name(self, own: str, address: str) -> None:
        policy = EgressPolicy(own=((own, 8765),))
        with pytest.raises(EgressRefusedError):
            policy.judge_address(parse_url("http://any.example:8765"), address)
        policy.judge_address(parse_url("http://any.example:8766"), address)

    @pytest.mark.parametrize("own", ["[FD00:0::9]", "fd00::9", "fd00:0:0:0:0:0:0:9"])
    def test_are_known_in_every_spelling(self, own: str) -> None:
        policy = EgressPolicy(own=((own, 8000),))
        with pytest.raises(UrlRefusedError):
            policy.judge_url(parse_url("http://[fd00::9]:8000"))
        policy.judge_url(parse_url("http://[fd00::a]:8000"))

    @pytest.mark.parametrize("entry", ["http://10.0.0.9:8000", "10.0.0.0/8"])
    def test_are_not_lifted_by_the_allow_list(self, entry: str) -> None:
        policy = EgressPolicy(own=(("10.0.0.9", 8000),), allow=parse_allow([entry]))
        with pytest.raises(UrlRefusedError, match="Keycairn itself"):
            policy.judge_url(parse_url("http://10.0.0.9:8000"))
        policy.judge_url(parse_url("http://10.0.0.9:8001"))

    def test_include_a_database_known_by_name(self) -> None:
        policy = EgressPolicy(own=(("surreal.lan", 8000),))
        with pytest.raises(UrlRefusedError):
            policy.judge_url(parse_url("http://surreal.lan:8000"))


def test_a_request_without_a_secret_may_go_in_the_clear() -> None:
    EgressPolicy().judge_address(parse_url("http://models.example"), "8.8.8.8", secret=False)
    with pytest.raises(EgressRefusedError, match="in the clear"):
        EgressPolicy().judge_address(parse_url("http://models.example"), "8.8.8.8", secret=True)
