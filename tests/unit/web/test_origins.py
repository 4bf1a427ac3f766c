"""Who may open a WebSocket: Bokeh's rules, and no trick with names gets past them."""

from __future__ import annotations

import pytest
from bokeh.server.util import match_host
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ConfigError, OriginRefused
from service.web.origins import OriginPolicy, Pattern, SameHost, parse_address, parse_origin


def admits(origin: str | None, *patterns: str, host: str = "localhost:5006", port: int = 5006) -> bool:
    try:
        OriginPolicy(patterns, port).check(origin, host)
    except OriginRefused:
        return False
    return True


# -- defaults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:5006", "https://localhost:5006", "http://127.0.0.1:5006", "http://[::1]:5006"],
)
def test_without_patterns_this_machine_is_admitted(origin: str) -> None:
    assert admits(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:5007",
        "http://127.0.0.2:5006",
        "http://192.168.0.1:5006",
        "http://example.com:5006",
        "http://localhost.example.com:5006",
    ],
)
def test_without_patterns_nothing_else_is_admitted(origin: str) -> None:
    assert not admits(origin)


def test_patterns_replace_the_default() -> None:
    assert not admits("http://localhost:5006", "example.com")


# -- the origin's form ---------------------------------------------------------------------------


def test_missing_origin_is_admitted() -> None:
    assert admits(None)


def test_null_origin_needs_the_star() -> None:
    assert not admits("null", "example.com")
    assert not admits("null", "*:80")
    assert admits("null", "*")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "example.com",
        "//example.com",
        "http:example.com",
        "http:///example.com",
        "http://",
        "http://:80",
        "http://example.com/",
        "http://example.com/path",
        "http://example.com?x",
        "http://example.com#x",
        "http://example.com:",
        "http://example.com:80:80",
        "http://example.com:http",
        "http://example.com:99999",
        "http://example.com:0",
        "http://example.com:-80",
        "http://user@example.com",
        "http://user:password@example.com",
        "http://evil.com@example.com",
        "http://example.com@evil.com",
        "http://example.com:80@evil.com",
        "http://example.com\\@evil.com",
        "http://evil.com\\.example.com",
        "http://example.com ",
        " http://example.com",
        "http://exam ple.com",
        "http://example.com\n",
        "http://example.com\x00",
        "http://example%2ecom",
        "http://example..com",
        "http://.example.com",
        "http://example.com..",
        "http://*",
        "http://*.com",
        "http://[::1",
        "http://::1",
        "http://[zz]",
        "http://[example.com]",
        "http://[::1]x",
        "http://example。com",
        "http://\u0435xample.com",
        "http://example.com, http://example.com",
        "javascript://example.com/%0aalert(1)",
    ],
)
def test_no_malformed_origin_is_admitted(origin: str) -> None:
    assert not admits(origin, "example.com", "evil.com:81", "*.com:*", "[::1]")


# -- names and ports -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "pattern"),
    [
        ("http://example.com", "example.com"),
        ("http://EXAMPLE.com", "example.COM"),
        ("http://example.com.", "example.com"),
        ("http://example.com", "example.com."),
        ("http://my_app-1.example.com", "my_app-1.example.com"),
        ("http://xn--bcher-kva.example", "bücher.example"),
        ("http://a.example.com", "*.example.com"),
        ("http://10.0.7.8", "10.0.*.*"),
        ("http://[::1]", "[::1]"),
        ("http://[0:0::1]", "[::1]"),
        ("http://[FE80::A]:81", "[fe80::a]:81"),
        ("http://example.com:8080", "example.com:*"),
        ("http://example.com:8080", "*:8080"),
        ("http://example.com:8080", "*:*"),
        ("http://example.com:8080", "*"),
        ("app://example.com", "example.com"),
    ],
)
def test_matching_origin_is_admitted(origin: str, pattern: str) -> None:
    assert admits(origin, pattern)


@pytest.mark.parametrize(
    ("origin", "pattern"),
    [
        ("http://dashboard.corp.evil.com", "dashboard.corp"),
        ("http://evildashboard.corp", "dashboard.corp"),
        ("http://evil-dashboard.corp", "dashboard.corp"),
        ("http://a.dashboard.corp", "dashboard.corp"),
        ("http://dashboard.corpx", "dashboard.corp"),
        ("http://corp", "dashboard.corp"),
        ("http://example.com", "*.example.com"),
        ("http://a.b.example.com", "*.example.com"),
        ("http://example.com.evil.com", "*.com"),
        ("http://10.0.evil.com", "10.0.*.*"),
        ("http://192.168.0.2", "192.168.0.1"),
        ("http://[::2]", "[::1]"),
        ("http://example.com:8080", "example.com"),
        ("http://example.com:8080", "example.com:8081"),
        ("http://example.com", "example.com:8080"),
        ("http://example.com:8080", "*:80"),
    ],
)
def test_other_origin_is_refused(origin: str, pattern: str) -> None:
    assert not admits(origin, pattern)


@pytest.mark.parametrize(
    "origin",
    ["http://example.com", "http://example.com:80", "https://example.com", "https://example.com:443"],
)
def test_pattern_without_port_means_the_schemes_own(origin: str) -> None:
    assert admits(origin, "example.com")


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [
        ("https://example.com", True),
        ("https://example.com:443", True),
        ("http://example.com:443", True),
        ("http://example.com", False),
        ("https://example.com:8443", False),
    ],
)
def test_pattern_with_the_https_port_takes_the_implied_one(origin: str, admitted: bool) -> None:
    assert admits(origin, "example.com:443") is admitted


def test_http_origin_on_443_needs_the_port_in_the_pattern() -> None:
    assert not admits("http://example.com:443", "example.com")


# -- the host ------------------------------------------------------------------------------------


def test_rebound_name_is_refused_though_origin_and_host_agree() -> None:
    assert not admits("http://evil.com:5006", host="evil.com:5006")


def test_rebound_name_is_refused_without_an_origin() -> None:
    assert not admits(None, host="evil.com:5006")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5006",
        "localhost.",
        "backend:1",
        "127.0.0.1",
        "10.1.2.3:5006",
        "[::1]",
        "[2001:DB8::1]:80",
    ],
)
def test_host_that_cannot_be_rebound_is_admitted(host: str) -> None:
    assert admits("http://example.com", "example.com", host=host)


@pytest.mark.parametrize("host", ["example.com", "EXAMPLE.com.", "example.com:5006"])
def test_host_on_the_list_is_admitted_on_any_port(host: str) -> None:
    assert admits("http://example.com", "example.com", host=host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.com",
        "example.com.evil.com",
        "a@localhost",
        "localhost/",
        "127.0.0.1.evil.com",
        "[::1",
        "1.2.3",
        "localhost:x",
    ],
)
def test_other_host_is_refused(host: str) -> None:
    assert not admits("http://example.com", "example.com", host=host)


def test_star_admits_every_host() -> None:
    assert admits("http://evil.com", "*", host="evil.com")
    assert OriginPolicy(["a", "*"], 1).admits_everyone
    assert not OriginPolicy(["*:80"], 1).admits_everyone


# -- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host"),
    [("http://corp.example:81", "localhost"), (None, "corp.example:81")],
)
def test_refusal_says_in_one_line_what_would_admit_it(origin: str | None, host: str) -> None:
    with pytest.raises(OriginRefused) as caught:
        OriginPolicy([], 5006).check(origin, host)

    assert "--allow-websocket-origin=corp.example:81 or set SVC_ALLOW_WS_ORIGIN=corp.example:81" in str(
        caught.value
    )


def test_the_advice_works() -> None:
    assert admits("https://corp.example", "corp.example", host="corp.example")


@pytest.mark.parametrize("origin", ["http://a\nInjected: line", "x" * 10_000, "http://\x1b[31m"])
def test_refusal_is_one_short_printable_line(origin: str) -> None:
    with pytest.raises(OriginRefused) as caught:
        OriginPolicy([], 5006).check(origin, "localhost")

    message = str(caught.value)
    assert len(message) < 400
    assert message.isprintable()


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        ":80",
        "http://example.com",
        "example.com/app",
        "example.com:http",
        "example.com:",
        "a:1:2",
        "::1",
        "example.com:70000",
        "ex*.com",
        "a..b",
        "user@example.com",
        "[::1",
        "[x]",
        "*:*.*",
    ],
)
def test_bad_pattern_is_a_configuration_error(pattern: str) -> None:
    with pytest.raises(ConfigError, match="--allow-websocket-origin"):
        OriginPolicy([pattern], 5006)


# -- against Bokeh -------------------------------------------------------------------------------

names = st.lists(st.sampled_from(["a", "b", "evil", "com", "7", "10"]), min_size=1, max_size=4).map(".".join)
wild = st.lists(st.sampled_from(["a", "b", "evil", "com", "*"]), min_size=1, max_size=4).map(".".join)
ports = st.sampled_from(["80", "443", "5006"])


@given(names, ports, wild, st.none() | ports | st.just("*"))
def test_with_explicit_ports_we_agree_with_bokeh(
    name: str, port: str, pattern: str, pattern_port: str | None
) -> None:
    written = pattern if pattern_port is None else f"{pattern}:{pattern_port}"
    theirs = written if pattern_port or pattern == "*" else f"{pattern}:80"  # create_hosts_allowlist

    ours = Pattern.parse(written).matches(parse_origin(f"http://{name}:{port}"))

    assert ours == match_host(f"{name}:{port}", theirs)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=10))
def test_any_text_is_admitted_or_refused(origin: str, host: str, pattern: str) -> None:
    try:
        OriginPolicy([pattern], 5006).check(origin, host)
    except (OriginRefused, ConfigError) as error:
        message = str(error)
    else:
        message = "admitted"
    assert message.isprintable()


@given(st.from_regex(r"\A[a-z0-9.:\[\]@*/-]{0,20}\Z"))
def test_an_address_has_no_user_and_no_path(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert not set("@/*") & set(address.host)


# -- pages of the same host ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "any.where", True),
        ("http://example.com", "example.com", True),
        ("https://example.com", "example.com", True),
        ("https://example.com", "EXAMPLE.com:443", True),
        ("http://example.com:8000", "example.com:8000", True),
        ("http://example.com:8000", "example.com", False),
        ("http://example.com", "example.com:8000", False),
        ("http://example.com.evil.test", "example.com", False),
        ("null", "example.com", False),
        ("http://example.com", "no host", False),
    ],
)
def test_the_same_host(origin: str | None, host: str, allowed: bool) -> None:
    policy = SameHost()
    if allowed:
        policy.check(origin, host)
    else:
        with pytest.raises(OriginRefused, match="allow_websocket_origin"):
            policy.check(origin, host)
    assert not policy.allows(origin or "http://any.where")  # nothing to be allowed across origins
