"""Options: how users log in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.options import boolean, number, option, text
from service.settings import values

__all__ = ("LoginSettings",)


@dataclass(frozen=True, kw_only=True)
class LoginSettings:
    """How users log in."""

    auth_module: str | None = option(
        "--auth-module",
        values.existing_file,
        "A Python module that knows who the user is (get_user, login_url, ...)",
        metavar="FILE",
        env=("SVC_AUTH_MODULE", "BOKEH_AUTH_MODULE"),
        yaml="auth_module",
    )
    cookie_secret: str | None = option(
        "--cookie-secret",
        text,
        "Signs the cookies of the auth module; replicas agree on a random one if not given",
        metavar="SECRET",
        env=("SVC_COOKIE_SECRET", "PANEL_COOKIE_SECRET", "BOKEH_COOKIE_SECRET"),
        yaml="cookie_secret",
        secret=True,
    )
    cookie_path: str = option(
        "--cookie-path",
        values.cookie_path,
        "URL path that the cookies of Panel's logins are for",
        "/",
        metavar="PATH",
        env=("SVC_COOKIE_PATH", "PANEL_COOKIE_PATH"),
    )
    basic_auth: str | Mapping[str, str] | None = option(
        "--basic-auth",
        text,
        "A login form (Panel's): one password for everybody, or a JSON file of names and passwords. "
        "Better given in the environment",
        metavar="PASSWORD|FILE",
        env=("SVC_BASIC_AUTH", "PANEL_BASIC_AUTH"),
        secret=True,
    )
    basic_login_template: str | None = option(
        "--basic-login-template",
        values.existing_file,
        "A template for the login form of Panel's logins",
        metavar="FILE",
        env=("SVC_BASIC_LOGIN_TEMPLATE",),
    )
    login_endpoint: str = option(
        "--login-endpoint",
        values.slashed_path,
        "Where the login page of Panel's logins is",
        "/login",
        metavar="PATH",
        env=("SVC_LOGIN_ENDPOINT",),
    )
    logout_endpoint: str = option(
        "--logout-endpoint",
        values.slashed_path,
        "Where the logout page of Panel's logins is",
        "/logout",
        metavar="PATH",
        env=("SVC_LOGOUT_ENDPOINT",),
    )
    logout_template: str | None = option(
        "--logout-template",
        values.existing_file,
        "A template for the logout page of Panel's logins",
        metavar="FILE",
        env=("SVC_LOGOUT_TEMPLATE",),
    )
    auth_template: str | None = option(
        "--auth-template",
        values.existing_file,
        "A template for the page that says that a user is not let in (Panel's)",
        metavar="FILE",
        env=("SVC_AUTH_TEMPLATE",),
    )
    oauth_provider: str | None = option(
        "--oauth-provider",
        values.lower,
        "Log in with one of Panel's providers: generic, auth_code, password, github, gitlab, google, azure, "
        "azurev2, okta, auth0, bitbucket, pam, or one that an installed package adds",
        metavar="NAME",
        env=("SVC_OAUTH_PROVIDER", "PANEL_OAUTH_PROVIDER"),
    )
    oauth_key: str | None = option(
        "--oauth-key",
        text,
        "The client id that the provider gave",
        metavar="KEY",
        env=("SVC_OAUTH_KEY", "PANEL_OAUTH_KEY"),
    )
    oauth_secret: str | None = option(
        "--oauth-secret",
        text,
        "The client secret that the provider gave. Better given in the environment",
        metavar="SECRET",
        env=("SVC_OAUTH_SECRET", "PANEL_OAUTH_SECRET"),
        secret=True,
    )
    oauth_redirect_uri: str | None = option(
        "--oauth-redirect-uri",
        text,
        "Where the provider sends browsers back to (the server's address if not given)",
        metavar="URL",
        env=("SVC_OAUTH_REDIRECT_URI", "PANEL_OAUTH_REDIRECT_URI"),
    )
    oauth_extra_params: Mapping[str, Any] | None = option(
        "--oauth-extra-params",
        values.literal_dict,
        "Further parameters of the provider, as a Python dictionary",
        metavar="DICT",
        env=("SVC_OAUTH_EXTRA_PARAMS", "PANEL_OAUTH_EXTRA_PARAMS"),
    )
    oauth_jwt_user: str | None = option(
        "--oauth-jwt-user",
        text,
        "Which claim names the user (the provider's usual one if not given)",
        metavar="CLAIM",
        env=("SVC_OAUTH_JWT_USER", "PANEL_OAUTH_JWT_USER"),
    )
    oauth_encryption_key: str | None = option(
        "--oauth-encryption-key",
        values.fernet_key,
        "Encrypts the tokens in cookies (panel oauth-secret prints one). Better given in the environment",
        metavar="KEY",
        env=("SVC_OAUTH_ENCRYPTION_KEY", "PANEL_OAUTH_ENCRYPTION"),
        secret=True,
    )
    oauth_error_template: str | None = option(
        "--oauth-error-template",
        values.existing_file,
        "A template for the page of a login that failed (--auth-template if not given)",
        metavar="FILE",
        env=("SVC_OAUTH_ERROR_TEMPLATE",),
    )
    oauth_expiry_days: float = option(
        "--oauth-expiry-days",
        number(0),
        "Days after which users have to log in again",
        "1",
        metavar="DAYS",
        env=("SVC_OAUTH_EXPIRY_DAYS", "PANEL_OAUTH_EXPIRY"),
    )
    oauth_refresh_tokens: bool = option(
        "--oauth-refresh-tokens",
        boolean,
        "Refresh users' tokens before they expire, once for all replicas and sessions; users without valid "
        "tokens log in again",
        "false",
        arity="switch",
        env=("SVC_OAUTH_REFRESH_TOKENS", "PANEL_OAUTH_REFRESH_TOKENS"),
    )
    oauth_guest_endpoints: tuple[str, ...] = option(
        "--oauth-guest-endpoints",
        text,
        "URL paths of apps that can be seen without a login",
        "",
        metavar="PATH",
        arity="any",
        env=("SVC_OAUTH_GUEST_ENDPOINTS",),
        env_aliases={"PANEL_OAUTH_GUEST_ENDPOINTS": values.literal_list},
    )
    oauth_optional: bool = option(
        "--oauth-optional",
        boolean,
        "Let in everybody as a guest who has not logged in",
        "false",
        arity="switch",
        env=("SVC_OAUTH_OPTIONAL", "PANEL_OAUTH_OPTIONAL"),
    )
    enable_xsrf_cookies: bool = option(
        "--enable-xsrf-cookies",
        boolean,
        "Refuse forms without the XSRF cookie's value (their pages have to include xsrf_form_html)",
        "false",
        arity="switch",
        env=("SVC_XSRF_COOKIES", "BOKEH_XSRF_COOKIES"),
        yaml="xsrf_cookies",
    )

    @property
    def has_user_tokens(self) -> bool:
        """Whether users log in with a provider that gives them tokens."""
        return self.oauth_provider not in (None, "pam")
