import pytest

from keycairn.domain.errors import UrlRefusedError
from keycairn.domain.url import LONGEST, Url, origin_of, parse_target, parse_url


@pytest.mark.parametrize(
    ("text", "origin", "path"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com:443", "/v1"),
        ("HTTPS://API.OpenAI.com:443", "https://api.openai.com:443", ""),
        ("http://localhost.:11434/", "http://localhost:11434", "/"),
        ("http://10.0.0.5", "http://10.0.0.5:80", ""),
        ("http://[FD00:0:0:0:0:0:0:5]:8000/v1", "http://[fd00::5]:8000", "/v1"),
        ("https://a.example:08443/a%20b/~x,y=1", "https://a.example:8443", "/a%20b/~x,y=1"),
        ("http://my_ollama:11434", "http://my_ollama:11434", ""),
        (f"http://{'a' * 63}.example", f"http://{'a' * 63}.example:80", ""),
        (f"https://{'.'.join(['a' * 49] * 5)}.abc", f"https://{'.'.join(['a' * 49] * 5)}.abc:443", ""),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example:443", ""),
    ],
)
def test_a_plain_url_has_one_canonical_form(text: str, origin: str, path: str) -> None:
    url = parse_url(text)
    assert (url.origin, url.path) == (origin, path)
    assert parse_url(url.origin + url.path) == url


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        (Url("https", "a.example", 443, ""), "a.example"),
        (Url("https", "a.example", 80, ""), "a.example:80"),
        (Url("http", "::1", 80, ""), "[::1]"),
        (Url("http", "::1", 11434, ""), "[::1]:11434"),
    ],
)
def test_the_authority_leaves_out_the_default_port(url: Url, authority: str) -> None:
    assert url.authority == authority


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "a..b", "-a.b", "a-.b", "a" * 64, f"{'a.' * 127}a", "a b", "a\tb", "a%62", "bücher.example"),
        *("127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "127.0.0.01", "127.0.0.1.", "1.2.3.256", "example.1"),
        *("[::1", "::1", "[]", "[::1]x", "[fe80::1%25eth0]", "[v1.a]", "[127.0.0.1]", "user@a", "user:pass@a", "@a"),
    ],
)
def test_a_malformed_host_is_refused(host: str) -> None:
    for text in (f"http://{host}/", f"http://{host}"):
        with pytest.raises(UrlRefusedError):
            parse_url(text)


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "+80", "8_0", "0x50", " 80", "٨٠", "80:80"])
def test_a_port_is_ascii_digits_in_range(port: str) -> None:
    with pytest.raises(UrlRefusedError):
        parse_url(f"http://localhost:{port}/")


@pytest.mark.parametrize(
    "path",
    [
        *("/?", "/?a=1", "#", "/#a", "?a", "/..", "/.", "/a/../b", "/..;x/", "/%2e%2e/", "/%2E/", "/a%2fb", "/a%5Cb"),
        *(
            "/%00",
            "/%0d%0a",
            "/%7f",
            "/%25",
            "/%",
            "/%1",
            "/%zz",
            "/a b",
            "/a\\b",
            "/é",
            "/\n",
            "/a\u2028",
            "/{a}",
            "/|",
        ),
    ],
)
def test_a_base_url_ends_in_a_plain_path(path: str) -> None:
    with pytest.raises(UrlRefusedError):
        parse_url(f"https://a.example{path}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://api.example.com//169.254.169.254/", "empty segment"),
        ("https://api.example.com/v1//x", "empty segment"),
        ("https://api.example.com//", None),
        ("https://api.example.com/v1/;jsessionid=1", "parameter"),
        ("https://api.example.com/v1;/x", "parameter"),
        ("https://api.example.com/../x", "dot segments"),
        ("https://user@api.example.com/v1", "user or password"),
        ("https://user:pw@api.example.com/v1", "user or password"),
        ("https://api.example.com@evil.example/v1", "user or password"),
        ("//user@api.example.com/v1", "user or password"),
        ("https://api.example.com/v1#models", "fragment"),
        ("https://api.example.com/v1?key=1", "query"),
        ("https://api.example.com/v1?", "query"),
        ("https:\\\\api.example.com", "backslash"),
        ("https://api.example.com/a\\b", "backslash"),
        ("https://api.example.com/a b", "white space"),
        ("ftp://api.example.com/", "http:// or https://"),
        ("api.example.com/v1", "http:// or https://"),
    ],
)
def test_a_refused_base_url_says_why(text: str, why: str | None) -> None:
    if why is None:
        assert parse_url(text)
        return
    with pytest.raises(UrlRefusedError, match=why):
        parse_url(text)


PLAIN = "./\\;?#%@\0\t\r\n\x7f"
LOOKALIKES = "\uff0e\uff0f\uff3c\uff1b\uff1f\uff03\uff05\uff20\u2024\u2025\u2026\u200b\u2028\ufeff\u202e\x85"


def _spellings(character: str) -> list[str]:
    once = "".join(f"%{byte:02x}" for byte in character.encode())
    return [once, once.upper(), once.replace("%", "%25"), f"a{once}b", f"%61{once}"]


@pytest.mark.parametrize("character", PLAIN + LOOKALIKES, ids=ascii)
def test_no_escape_hides_what_another_parser_might_unfold(character: str) -> None:
    for spelling in _spellings(character):
        with pytest.raises(UrlRefusedError):
            parse_url(f"https://a.example/v1/{spelling}/x")


@pytest.mark.parametrize(
    "bytes_", ["%c0%ae", "%c0%af", "%e0%80%ae", "%f0%80%80%ae", "%ff", "%ed%a0%80", "%e2%82", "%80"]
)
def test_escaped_bytes_that_are_no_text_are_refused(bytes_: str) -> None:
    for spelling in (bytes_, bytes_.upper()):
        with pytest.raises(UrlRefusedError, match="hides"):
            parse_url(f"https://a.example/{spelling}/x")


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "//", "/v1", "/v1/", "/v1//", "/openai/deployments/my-gpt", "/openai/deployments/my%20gpt/"),
        *("/v1beta/openai", "/api/v1.2/x", "/proxy/~team/v1", "/ai/run/@cf/meta/llama", "/a+b/(c)/v1", "/...", "/a..b"),
        *("/v1/accounts/0123/gateways/x", "/k%C3%BCche/v1", "/models:predict", "/a,b", "/%7Euser"),
    ],
)
def test_paths_that_people_use_stay_allowed(path: str) -> None:
    url = parse_url(f"https://a.example{path}")
    assert (url.path, url.origin) == (path, "https://a.example:443")


def test_an_origin_is_read_whatever_the_path_and_only_from_one_host() -> None:
    assert origin_of("https://A.example//x/../;y?z=1") == "https://a.example:443"
    for text in ("https://a@b.example", "a.example", "https://", "https://a.example:0/"):
        with pytest.raises(UrlRefusedError):
            origin_of(text)


def test_a_base_url_has_a_limit() -> None:
    stem = "https://a.example/"
    assert parse_url(stem + "a" * (LONGEST - len(stem))).path
    with pytest.raises(UrlRefusedError):
        parse_url(stem + "a" * (LONGEST - len(stem) + 1))


class TestTheTargetOfARequest:
    def test_may_have_a_query_and_a_slash_inside_a_models_name(self) -> None:
        url = parse_target("https://a.example/models/org%2Fname:run?alt=sse&x=%26")
        assert url.target == "/models/org%2Fname:run?alt=sse&x=%26"
        assert parse_target("https://a.example?x").target == "/?x"

    @pytest.mark.parametrize("path", ["/../x", "/a/%2e%2E/x", "/.%2e", "/a#b", "/a?b\r\nc", "/a?b c"])
    def test_has_no_dot_segment_fragment_or_control(self, path: str) -> None:
        with pytest.raises(UrlRefusedError):
            parse_target(f"https://a.example{path}")


def test_a_refusal_names_the_field_and_never_the_url() -> None:
    with pytest.raises(UrlRefusedError) as refused:
        parse_url("https://sk-canary-0123@a.example/sk-canary-4567", field="base_url")
    assert list(refused.value.fields) == ["base_url"]
    assert "canary" not in str(refused.value) + repr(refused.value) + str(refused.value.fields)
    assert refused.value.__context__ is None
