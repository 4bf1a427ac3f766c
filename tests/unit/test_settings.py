"""Options: precedence, checks, contradictions, and messages that say where a value came from."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.errors import ConfigError
from service.session_runtime import most_memory
from service.settings import OPTIONS, Settings, add_arguments, from_arguments, options_table
from service.tokens import SessionIds


def load(*argv: str, env: Mapping[str, str] | None = None, config: Path | None = None) -> Settings:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    given = vars(parser.parse_args(argv if config is None else ["--config", str(config), *argv]))
    return from_arguments(given, env or {})


def refusal(*argv: str, env: Mapping[str, str] | None = None, config: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*argv, env=env, config=config)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "svc.toml"


INDEX = str(Path(__file__).parents[2] / "service/web/templates/index.html")
HERE = str(Path(__file__).parent.resolve())
YAML = str(Path(__file__).with_name("bokeh.yaml"))

# A row per option: how it is written, what it becomes, and what ends up in the settings by default.
ROWS: list[tuple[str, list[str], Any, Any]] = [
    ("apps", ["a.py", "b"], ("a.py", "b"), ()),
    ("port", ["0"], 0, 5006),
    ("address", ["127.0.0.1"], "127.0.0.1", None),
    ("redis", ["redis://h:1"], "redis://h:1", None),
    ("redis_prefix", ["a:b"], "a:b", "svc"),
    ("encrypt_store", ["Required"], "required", "off"),
    ("memory_limit", ["0"], 0, None),
    ("restore_memory_share", ["75"], 75, 50),
    ("advertise", ["h:1"], "http://h:1", None),
    ("max_sessions", ["10"], 10, 0),
    ("max_sessions_per_user", ["3"], 3, 0),
    ("max_sessions_per_app", ["5"], (("", 5),), ()),
    ("build_timeout", ["20"], 20.0, 300.0),
    ("slow_callback", ["0.5"], 0.5, 1.0),
    ("app_threads", ["4"], 4, 16),
    ("jobs", ["0"], 0, 1),
    ("num_threads", ["4"], 4, None),
    ("metrics_port", ["0"], 0, None),
    ("admin", [], True, False),
    ("traces", ["OTLP"], "otlp", "off"),
    ("readiness_grace", ["0"], 0.0, 10.0),
    ("heartbeat_ttl", ["2.5"], 2.5, 5.0),
    ("secret_key", ["k"], "k", None),
    ("use_config", [YAML], YAML, None),
    ("unix_socket", ["/run/svc.sock"], "/run/svc.sock", None),
    ("num_procs", ["3"], 3, 1),
    ("ssl_certfile", [__file__], __file__, None),
    ("auth_module", [__file__], __file__, None),
    ("cookie_secret", ["c"], "c", None),
    ("cookie_path", ["/a"], "/a", "/"),
    ("basic_auth", ["password"], "password", None),
    ("basic_login_template", [__file__], __file__, None),
    ("login_endpoint", ["in/here/"], "/in/here", "/login"),
    ("logout_endpoint", ["/out"], "/out", "/logout"),
    ("logout_template", [__file__], __file__, None),
    ("auth_template", [__file__], __file__, None),
    ("oauth_provider", ["PAM"], "pam", None),
    ("oauth_key", ["k"], "k", None),
    ("oauth_secret", ["s"], "s", None),
    ("oauth_redirect_uri", ["http://a"], "http://a", None),
    ("oauth_extra_params", ["{'scope': ['a']}"], {"scope": ["a"]}, None),
    ("oauth_jwt_user", ["sub"], "sub", None),
    ("oauth_encryption_key", ["A" * 43 + "="], "A" * 43 + "=", None),
    ("oauth_error_template", [__file__], __file__, None),
    ("oauth_expiry_days", ["0.5"], 0.5, 1.0),
    ("oauth_refresh_tokens", [], True, False),
    ("oauth_guest_endpoints", ["/a", "/b"], ("/a", "/b"), ()),
    ("oauth_optional", [], True, False),
    ("enable_xsrf_cookies", [], True, False),
    ("websocket_compression_level", ["9"], 9, None),
    ("ico_path", ["none"], "none", "default"),
    ("index_titles", ["a=b"], (("/a", "b"),), ()),
    ("static_dirs", [f"a={HERE}"], (("/a", HERE),), ()),
    ("plugins", ["a.b"], ("a.b",), ()),
    ("setup", [__file__], __file__, None),
    ("warm", [], True, False),
    ("liveness", [], True, False),
    ("liveness_endpoint", ["alive"], "alive", "liveness"),
    ("admin_endpoint", ["ops/"], "/ops", "/admin"),
    ("rest_session_info", [], True, False),
    ("session_history", ["-1"], -1, 0),
    ("global_loading_spinner", [], True, False),
    ("page_config", ['{"title": "t"}'], '{"title": "t"}', None),
    ("root_path", ["x"], "/x", None),
    ("reuse_sessions", ["Warm"], "warm", "off"),
    ("log_format", ["%(message)s"], "%(message)s", "text"),
    ("log_file", ["svc.log"], "svc.log", None),
    ("stats_log_frequency", ["500"], 0.5, 15.0),
    ("mem_log_frequency", ["500"], 0.5, 0.0),
    ("session_ids", ["unsigned"], SessionIds.UNSIGNED, SessionIds.UNSIGNED),
    ("session_token_expiration", ["60"], 60.0, 300.0),
    ("allow_websocket_origin", ["a:1"], ("a:1",), ()),
    ("prefix", ["a/b/"], "/a/b", ""),
    ("use_xheaders", [], True, False),
    ("keep_alive", ["0"], 0.0, 37.0),
    ("unused_session_lifetime", ["500"], 0.5, 15.0),
    ("check_unused_sessions", ["1000"], 1.0, 17.0),
    ("websocket_max_message_size", ["10"], 10, 20 * 1024 * 1024),
    ("durability", ["SYNC"], "sync", "interval"),
    ("journal_interval", ["50"], 0.05, 0.1),
    ("journal_max_bytes", ["2048"], 2048, 16 * 1024 * 1024),
    ("session_retention", ["0"], 0.0, 3600.0),
    ("hibernate_after", ["1.5"], 1.5, None),
    ("memory_high", ["2048"], 2048, None),
    ("restore_inputs", ["silent"], "silent", "replay"),
    ("drain_delay", ["1"], 1.0, 5.0),
    ("drain_timeout", ["2.5"], 2.5, 25.0),
    ("include_headers", ["a", "b"], ("a", "b"), ()),
    ("exclude_headers", ["a", "b"], ("a", "b"), ()),
    ("include_cookies", ["a", "b"], ("a", "b"), ()),
    ("exclude_cookies", ["a", "b"], ("a", "b"), ()),
    ("index", [INDEX], INDEX, None),
    ("disable_index", [], True, False),
    ("disable_index_redirect", [], True, False),
    ("log_level", ["DEBUG"], "debug", "info"),
    ("show", [], True, False),
    ("glob", [], True, False),
    ("panel_tasks", ["replica"], "replica", "fleet"),
    ("panel_cache", ["fleet"], "fleet", "replica"),
    ("args", ["--a", "b"], ("--a", "b"), ()),
]
BY_ENV = [row for row in ROWS if OPTIONS[row[0]].env]
BY_FILE = [row for row in ROWS if OPTIONS[row[0]].in_file]


def test_every_option_is_tested() -> None:
    assert {row[0] for row in ROWS} | {
        "config",
        "dev",
        # Of no use alone; see the tests of contradictions.
        "admin_user",
        "admin_password",
        "profiler",
        "previous_secret_key",
        "ssl_keyfile",
        "ssl_password",
        "websocket_compression_mem_level",
    } == set(OPTIONS)


@pytest.mark.parametrize(("name", "texts", "value", "default"), ROWS, ids=[row[0] for row in ROWS])
def test_option_has_its_default(name: str, texts: list[str], value: Any, default: Any) -> None:
    assert getattr(load(), name) == default == getattr(Settings(), name)


@pytest.mark.parametrize(("name", "texts", "value", "default"), ROWS, ids=[row[0] for row in ROWS])
def test_option_from_its_flag(name: str, texts: list[str], value: Any, default: Any) -> None:
    flag = OPTIONS[name].flag

    assert getattr(load(*([flag] if flag.startswith("--") else []), *texts), name) == value


@pytest.mark.parametrize(("name", "texts", "value", "default"), BY_ENV, ids=[row[0] for row in BY_ENV])
def test_option_from_its_environment_variable(name: str, texts: list[str], value: Any, default: Any) -> None:
    env = {OPTIONS[name].env[0]: ", ".join(texts) or "on"}

    assert getattr(load(env=env), name) == value


@pytest.mark.parametrize(("name", "texts", "value", "default"), BY_FILE, ids=[row[0] for row in BY_FILE])
def test_option_from_the_file(name: str, texts: list[str], value: Any, default: Any, config: Path) -> None:
    written: Any = True if not texts else texts if OPTIONS[name].is_list else texts[0]
    config.write_text(f"{OPTIONS[name].key} = {json.dumps(written)}\n")

    assert getattr(load(config=config), name) == value


# -- precedence ----------------------------------------------------------------------------------


def test_flag_wins_over_environment_over_file_over_default(config: Path) -> None:
    config.write_text("port = 3\n")

    assert load().port == 5006
    assert load(config=config).port == 3
    assert load(config=config, env={"SVC_PORT": "2"}).port == 2
    assert load("--port", "1", config=config, env={"SVC_PORT": "2"}).port == 1


def test_lists_are_replaced_and_not_joined() -> None:
    env = {"SVC_ALLOW_WS_ORIGIN": "a, b,,c ", "BOKEH_ALLOW_WS_ORIGIN": "d"}

    assert load(env=env).allow_websocket_origin == ("a", "b", "c")
    assert load(
        "--allow-websocket-origin=x", "--allow-websocket-origin=y", env=env
    ).allow_websocket_origin == ("x", "y")


@pytest.mark.parametrize(
    ("name", "svc", "bokeh"),
    [
        ("secret_key", "SVC_SECRET_KEY", "BOKEH_SECRET_KEY"),
        ("allow_websocket_origin", "SVC_ALLOW_WS_ORIGIN", "BOKEH_ALLOW_WS_ORIGIN"),
        ("address", "SVC_ADDRESS", None),
    ],
)
def test_our_variable_wins_over_bokehs(name: str, svc: str, bokeh: str | None) -> None:
    def value(env: dict[str, str]) -> Any:
        found = getattr(load(env=env), name)
        return found[0] if isinstance(found, tuple) else found

    assert value({svc: "ours"} | ({bokeh: "theirs"} if bokeh else {})) == "ours"
    if bokeh:
        assert value({bokeh: "theirs"}) == "theirs"
        assert value({bokeh: "theirs", svc: ""}) == "theirs"  # an empty variable counts as not set


def test_other_variables_of_bokeh_are_honoured() -> None:
    env = {"BOKEH_DEFAULT_SERVER_PORT": "7", "BOKEH_PY_LOG_LEVEL": "none", "BOKEH_SIGN_SESSIONS": "yes"}

    settings = load(env=env | {"BOKEH_SECRET_KEY": "k"})

    assert (settings.port, settings.log_level, settings.session_ids) == (7, "info", SessionIds.SIGNED)
    assert load(env=env | {"SVC_SESSION_IDS": "unsigned"}).session_ids is SessionIds.UNSIGNED


def test_config_file_can_be_named_in_the_environment(config: Path) -> None:
    config.write_text("port = 3\n")

    assert load(env={"SVC_CONFIG": str(config)}).port == 3


def test_the_real_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVC_PORT", "1")

    assert load().port == 5006


# -- bad values ----------------------------------------------------------------------------------


def test_message_names_option_and_source(config: Path) -> None:
    config.write_text('port = "x"\n')

    assert refusal("--port", "x") == "--port: 'x' is not a whole number"
    assert refusal(env={"SVC_PORT": "x"}) == "--port (from SVC_PORT): 'x' is not a whole number"
    assert refusal(config=config) == f"--port (from {config}): 'x' is not a whole number"


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("--port", "-1", "at least 0"),
        ("--port", "65536", "at most 65535"),
        ("--port", "80.5", "not a whole number"),
        ("--keep-alive", "-1", "at least 0"),
        ("--unused-session-lifetime", "0", "at least 1"),
        ("--unused-session-lifetime", "nan", "not a number"),
        ("--unused-session-lifetime", "inf", "not a number"),
        ("--check-unused-sessions", "soon", "not a number"),
        ("--websocket-max-message-size", "0", "at least 1"),
        ("--session-token-expiration", "0", "at least 1"),
        ("--heartbeat-ttl", "0.5", "at least 1"),
        ("--session-ids", "none", "one of unsigned, signed, external-signed"),
        ("--log-level", "loud", "one of trace, debug, info, warning, error, critical"),
        ("--address", "", "must not be empty"),
        ("--index", "/no/such/file.html", "no such file"),
        ("--index", YAML, "neither an app nor a template by its name"),
        ("--index-titles", "app", "not PATH=VALUE"),
        ("--static-dirs", "a=/no/such/directory", "leads to no directory"),
        ("--static-dirs", f"static={HERE}", "a path of its own"),
        ("--setup", "/no/such/file.py", "no such file"),
        ("--prefix", "a b", "not a URL path"),
        ("--admin-endpoint", "/", "not a URL path"),
        ("--root-path", "a?b", "not a URL path"),
        ("--page-config", "{", "is no JSON"),
        ("--page-config", "/no/such/file.json", "neither a JSON object nor a file"),
        ("--reuse-sessions", "app.py", "neither true nor false"),
        ("--session-history", "-2", "at least -1"),
        ("--profiler", "perf", "one of pyinstrument, snakeviz, memray"),
        ("--panel-cache", "disk", "one of replica, fleet"),
        ("--panel-tasks", "all", "one of fleet, replica"),
        ("--redis-prefix", "{a}", "letters"),
        ("--advertise", "host", "names no port"),
        ("--advertise", "host:0", "at least 1"),
        ("--advertise", "host:99999", "at most 65535"),
        ("--advertise", "fd00::1::2:5006", "neither HOST:PORT"),
        ("--advertise", "ftp://host:1", "neither HOST:PORT"),
        ("--advertise", "http://user@host:1", "neither HOST:PORT"),
        ("--advertise", "http://host:1/?q", "neither HOST:PORT"),
    ],
)
def test_bad_value_is_refused(flag: str, value: str, reason: str) -> None:
    message = refusal(f"{flag}={value}")

    assert message.startswith(f"{flag}: {value!r} ")
    assert reason in message


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("10.1.2.3:5006", "http://10.1.2.3:5006"),
        ("[::1]:5006", "http://[::1]:5006"),
        ("fd00:10::2a:5006", "http://[fd00:10::2a]:5006"),
        ("2001:db8:0:1:2:3:4:5:5006", "http://[2001:db8:0:1:2:3:4:5]:5006"),
        ("https://host", "https://host"),
        ("http://host:1/base/", "http://host:1/base"),
    ],
)
def test_advertised_address_becomes_a_base_url(written: str, url: str) -> None:
    assert load("--advertise", written).advertise == url


@pytest.mark.parametrize("value", ["maybe", "2", "truee", "None"])
def test_switch_from_the_environment_is_strict(value: str) -> None:
    assert "neither true nor false" in refusal(env={"SVC_USE_XHEADERS": value})


@pytest.mark.parametrize(
    ("value", "on"), [("true", True), ("ON", True), ("1", True), ("no", False), ("0", False)]
)
def test_switch_from_the_environment(value: str, on: bool) -> None:
    assert load(env={"SVC_USE_XHEADERS": value}).use_xheaders is on


def test_secrets_are_shown_nowhere() -> None:
    settings = load("--secret-key=hush", "--previous-secret-key=hush", "--redis=redis://:hush@h")

    assert "hush" not in repr(settings)
    assert refusal("--secret-key= ") == "--secret-key: the value must not be empty"


# -- the file ------------------------------------------------------------------------------------


def test_file_may_write_numbers_lists_and_underscores(config: Path) -> None:
    config.write_text('port = 7\nkeep_alive = 1500.5\nuse-xheaders = true\nallow-websocket-origin = "a"\n')

    settings = load(config=config)

    assert (settings.port, settings.keep_alive, settings.use_xheaders) == (7, 1.5005, True)
    assert settings.allow_websocket_origin == ("a",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("porrt = 1", "there is no option 'porrt'"),
        ("config = 'x'", "there is no option 'config'"),
        ("[port]\na = 1", "not a dict"),
        ("port = [1]", "not a list"),
        ("port = 1979-05-27", "not a date"),
        ("port", "Expected '='"),
    ],
)
def test_bad_file_is_refused(config: Path, text: str, reason: str) -> None:
    config.write_text(text)

    message = refusal(config=config)

    assert reason in message
    assert str(config) in message


def test_missing_file_is_refused(config: Path) -> None:
    assert refusal(config=config) == f"configuration file {config}: No such file or directory"


# -- contradictions ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["headers", "cookies"])
def test_include_and_exclude_contradict(what: str) -> None:
    message = refusal(f"--include-{what}", "a", f"--exclude-{what}", "b")

    assert message == f"--include-{what} and --exclude-{what} contradict each other: give one of them"


def test_contradiction_across_sources_is_found() -> None:
    assert "contradict" in refusal("--include-headers", "a", env={"SVC_EXCLUDE_HEADERS": "b"})


def test_index_and_no_index_contradict() -> None:
    assert "contradict" in refusal("--index", INDEX, "--disable-index")


@pytest.mark.parametrize("mode", ["signed", "external-signed"])
def test_signed_sessions_need_a_key(mode: str) -> None:
    assert refusal("--session-ids", mode).startswith(f"--session-ids {mode} needs --secret-key")
    assert load("--session-ids", mode, "--secret-key", "k").session_ids == mode


def test_previous_key_needs_a_key() -> None:
    assert "no use" in refusal("--previous-secret-key", "old")


def test_dev_needs_an_app() -> None:
    assert "needs an app" in refusal("--dev")
    assert load("a", "b", "--dev").dev == ()


def test_dev_is_off_on_or_on_with_files() -> None:
    assert load("app").dev is None
    assert load("app", "--dev").dev == ()
    assert load("app", "--dev", "a.css", "b.css").dev == ("a.css", "b.css")


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(ConfigError):
        Settings(include_headers=("a",), exclude_headers=("b",))


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


# -- documentation -------------------------------------------------------------------------------


def test_table_has_a_row_per_option() -> None:
    lines = options_table().splitlines()

    assert len(lines) == len(OPTIONS) + 2
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)
    assert any(
        line.startswith("| `--secret-key KEY` | `SVC_SECRET_KEY`, `BOKEH_SECRET_KEY` |") for line in lines
    )


def test_no_environment_variable_means_two_things() -> None:
    variables = [name for opt in OPTIONS.values() for name in (*opt.env, *opt.env_aliases)]

    assert len(variables) == len(set(variables))


# -- what belongs together, and Bokeh's own settings file -----------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["--ssl-keyfile", __file__],
        ["--ssl-password", "p"],
        ["--websocket-compression-mem-level", "3"],
        ["--admin-user", "ada"],
        ["--admin-password", "p"],
        ["--profiler", "snakeviz"],
        ["--unix-socket", "s", "--port", "1"],
        ["--unix-socket", "s", "--address", "localhost"],
        ["--unix-socket", "s", "--ssl-certfile", __file__],
        ["--unix-socket", "s", "--advertise", "h:1"],
        ["--num-procs", "2", "--advertise", "h:1"],
        ["--num-procs", "2", "--metrics-port", "9464"],
        ["--num-procs", "2", "--dev", "--show", "app.py"],
    ],
)
def test_what_makes_no_sense_together_is_refused_by_name(argv: list[str]) -> None:
    message = refusal(*argv)

    assert argv[0] in message


@pytest.mark.parametrize(
    ("yaml", "name", "value"),
    [
        ("py_log_level: debug", "log_level", "debug"),
        ("allowed_ws_origin: [a.corp, 'b.corp:80']", "allow_websocket_origin", ("a.corp", "b.corp:80")),
        ("default_server_port: 7", "port", 7),
        ("xsrf_cookies: yes", "enable_xsrf_cookies", True),
        ("cookie_secret: c", "cookie_secret", "c"),
        ("ico_path: none", "ico_path", "none"),
        ("secret_key: k\nsign_sessions: true", "session_ids", SessionIds.SIGNED),
        ("resources: cdn", "port", 5006),
    ],
)
def test_use_config_reads_bokehs_settings_file(yaml: str, name: str, value: Any, tmp_path: Path) -> None:
    file = tmp_path / "bokeh.yaml"
    file.write_text(yaml)

    assert getattr(load("--use-config", str(file)), name) == value


def test_use_config_wins_over_the_environment_and_loses_to_a_flag(tmp_path: Path) -> None:
    file = tmp_path / "bokeh.yaml"
    file.write_text("py_log_level: debug")
    env = {"BOKEH_PY_LOG_LEVEL": "error"}

    assert load("--use-config", str(file), env=env).log_level == "debug"
    assert load("--use-config", str(file), "--log-level", "warning", env=env).log_level == "warning"


@pytest.mark.parametrize("yaml", ["[1", "- a", "ico_path: /no/such.ico", "py_log_level: {a: b}"])
def test_a_bad_settings_file_is_refused_by_name(yaml: str, tmp_path: Path) -> None:
    file = tmp_path / "bokeh.yaml"
    file.write_text(yaml)

    assert "bokeh.yaml" in refusal("--use-config", str(file))


@pytest.mark.parametrize(
    ("variable", "name", "value"),
    [
        ("BOKEH_SSL_CERTFILE", "ssl_certfile", __file__),
        ("BOKEH_AUTH_MODULE", "auth_module", __file__),
        ("BOKEH_COOKIE_SECRET", "cookie_secret", "on"),
        ("BOKEH_XSRF_COOKIES", "enable_xsrf_cookies", True),
        ("BOKEH_ICO_PATH", "ico_path", "none"),
    ],
)
def test_bokehs_variables_of_deployment_are_honoured(variable: str, name: str, value: Any) -> None:
    text = {"enable_xsrf_cookies": "on", "ico_path": "None"}.get(name, str(value))

    assert getattr(load(env={variable: text}), name) == value


def test_key_and_password_belong_to_a_certificate() -> None:
    env = {"BOKEH_SSL_CERTFILE": __file__, "BOKEH_SSL_KEYFILE": __file__, "BOKEH_SSL_PASSWORD": "p"}

    settings = load(env=env)

    assert (settings.ssl_keyfile, settings.ssl_password) == (__file__, "p")
    assert "ssl_password" not in repr(settings)


@pytest.mark.parametrize("form", ["plain", "%(nosuch"])
def test_a_log_format_that_cannot_work_is_refused(form: str) -> None:
    assert "--log-format" in refusal("--log-format", form)


def test_zero_processes_means_one_per_core() -> None:
    assert load("--num-procs", "0").num_procs == (os.cpu_count() or 1)


def test_an_encrypted_store_needs_a_secret_that_does_not_lie_in_it() -> None:
    assert "--secret-key" in refusal("--encrypt-store", "on", "--redis", "redis://h")
    assert load("--encrypt-store", "on").encrypt_store == "on", "without Redis it has no effect"
    given = load("--encrypt-store", "on", "--redis", "redis://h", env={"SVC_SECRET_KEY": "k"})
    assert given.encrypt_store == "on"


def test_memory_of_one_session() -> None:
    assert most_memory(load("--memory-limit", "1000", "--restore-memory-share", "30")) == 300
    assert most_memory(load("--memory-limit", "0")) == 0
    assert most_memory(load("--memory-limit", "1000", "--restore-memory-share", "0")) == 0


def test_panels_variables_are_read_as_panel_reads_them() -> None:
    env = {
        "PANEL_OAUTH_PROVIDER": "GitHub",
        "PANEL_OAUTH_KEY": "k",
        "PANEL_OAUTH_SECRET": "s",
        "PANEL_OAUTH_GUEST_ENDPOINTS": "['/a', '/b']",
        "PANEL_OAUTH_EXTRA_PARAMS": "{'scope': ['a']}",
        "PANEL_OAUTH_EXPIRY": "7",
        "PANEL_OAUTH_OPTIONAL": "1",
        "PANEL_OAUTH_REFRESH_TOKENS": "True",
        "PANEL_COOKIE_SECRET": "c",
    }

    settings = load(env=env)

    assert (settings.oauth_provider, settings.oauth_key, settings.oauth_secret) == ("github", "k", "s")
    assert settings.oauth_guest_endpoints == ("/a", "/b")
    assert settings.oauth_extra_params == {"scope": ["a"]}
    assert (settings.oauth_expiry_days, settings.cookie_secret) == (7.0, "c")
    assert settings.oauth_optional
    assert settings.oauth_refresh_tokens


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"PANEL_OAUTH_GUEST_ENDPOINTS": "/a"}, "Python list"),
        ({"PANEL_OAUTH_EXTRA_PARAMS": "os.environ"}, "Python dictionary"),
        ({"PANEL_OAUTH_PROVIDER": "okta"}, "--oauth-key"),
        ({"PANEL_OAUTH_ENCRYPTION": "short"}, "panel oauth-secret"),
        ({"SVC_COOKIE_PATH": "a; Domain=b"}, "URL path"),
        ({"SVC_LOGIN_ENDPOINT": "/"}, "below the root"),
    ],
)
def test_logins_that_make_no_sense(env: dict[str, str], said: str) -> None:
    assert said in refusal(env=env)


def test_tokens_in_redis_need_a_secret_that_is_not_there() -> None:
    asked = ["--oauth-provider", "generic", "--oauth-key", "k", "--redis", "redis://h"]
    assert "--cookie-secret" in refusal(*asked)
    assert load(*asked, "--cookie-secret", "c").has_user_tokens
    assert load(*asked, "--secret-key", "c").has_user_tokens
