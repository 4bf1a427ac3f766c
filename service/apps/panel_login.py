"""Panel's own logins (1.9 and 1.10): its handlers, its cookies, and what its providers answer.

``panel serve`` keeps what it learns of users in one process. Here everything is in signed cookies, or with
whoever is told of a login, so that each request may reach another replica. Nothing here imports Panel unless
a login is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import json
import logging
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, RequestHandler, create_signed_value

from service.apps.panel import own_file
from service.apps.panel_pages import without_fonts
from service.errors import ConfigError, Unavailable
from service.settings import Settings, WebSettings
from store.contract import UserTokens
from store.errors import StoreError

__all__ = (
    "LOGIN_COOKIE",
    "TOKEN_COOKIES",
    "LoginHooks",
    "PanelLogin",
    "ProviderAway",
    "RefreshRefused",
    "refusal_page",
    "with_panels_config",
)

log = logging.getLogger(__name__)

TOKEN_COOKIES = ("access_token", "refresh_token", "id_token", "oauth_expiry")
"""What Panel keeps of a provider's answer, besides the user's name."""

LOGIN_COOKIE = "svc_login"
"""Tells the logins of a user in several browsers apart: each has tokens of its own."""

_OF_LOGIN = frozenset({*TOKEN_COOKIES, LOGIN_COOKIE, "user", "is_guest"})

MAX_COOKIE_BYTES = 4096
"""Of name and value; browsers drop what is longer without a word."""

LOGIN_SECONDS = 600
"""In which a login that was begun has to be completed."""

MAX_LOGINS = 10
"""Of one browser at the same time: all cookies have to fit into one header."""

_UNDER_WAY_COOKIE = "panel-oauth-"

NO_STORE = "the session store does not answer. Try again in a moment."

TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408

_CONFIG = {
    "oauth_provider": "oauth_provider",
    "oauth_key": "oauth_key",
    "oauth_secret": "oauth_secret",
    "oauth_redirect_uri": "oauth_redirect_uri",
    "oauth_jwt_user": "oauth_jwt_user",
    "oauth_extra_params": "oauth_extra_params",
    "oauth_expiry_days": "oauth_expiry",
    "oauth_refresh_tokens": "oauth_refresh_tokens",
    "oauth_guest_endpoints": "oauth_guest_endpoints",
    "oauth_optional": "oauth_optional",
    "oauth_encryption_key": "oauth_encryption_key",
    "auth_template": "auth_template",
    "cookie_path": "cookie_path",
}
"""Our options by the names that they have in ``pn.config``."""


class RefreshRefused(Exception):
    """The provider does not refresh these tokens: the user has to log in again."""


class ProviderAway(Exception):
    """The provider does not answer, or says that something is wrong with itself."""


@dataclass(frozen=True, slots=True)
class LoginHooks:
    """What is told of logins, by their names (:meth:`PanelLogin.login_of`), before the browser is."""

    began: Callable[[str, UserTokens], Awaitable[None]]
    ended: Callable[[str], Awaitable[None]]


_configured_providers: set[str] = set()
"""Providers that Panel was told of here, and not by the program."""


def with_panels_config(settings: Settings) -> Settings:
    """The settings, with the login that the program, or its setup script, has set in ``pn.config``.

    What is given as options counts before that. Raises ConfigError.
    """
    module = sys.modules.get("panel.config")
    if module is None or settings.basic_auth or settings.oauth_provider or settings.auth_module:
        return settings
    config = module.config
    basic, provider = config.basic_auth, config.oauth_provider
    if provider in _configured_providers:
        provider = None  # that of another server of this process
    if not (basic or provider):
        return settings
    defaults = {field.name: field.default for field in fields(Settings)}
    found: dict[str, Any] = {"basic_auth": basic} if basic else {}
    for ours, theirs in _CONFIG.items():
        value = getattr(config, theirs)
        if getattr(settings, ours) == defaults[ours] and value is not None:
            found[ours] = _plain(value)
    if settings.cookie_secret is None:
        found["cookie_secret"] = config.cookie_secret
    if basic:
        found.pop("oauth_provider", None)
    return replace(settings, **found)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if isinstance(value, list) else value


class PanelLogin:
    """The login that ``settings`` ask for, with Panel told about it. Raises ConfigError."""

    def __init__(self, settings: WebSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        flag = "--basic-auth" if settings.basic_auth else "--oauth-provider"
        try:
            self._auth = importlib.import_module("panel.auth")
        except ImportError as error:
            raise ConfigError(f"{flag} is Panel's, which cannot be imported: {error}") from error
        self._config: Any = importlib.import_module("panel.config").config
        self._state: Any = importlib.import_module("panel.io.state").state
        self._resources: Any = importlib.import_module("panel.io.resources")
        self._check()
        self._tell_panel()
        self._encryption = self._make_encryption()
        self._said_too_long: set[str] = set()

    def _check(self) -> None:
        provider, basic = self._settings.oauth_provider, self._settings.basic_auth
        if provider and provider not in self._auth.AUTH_PROVIDERS:
            known = ", ".join(sorted(self._auth.AUTH_PROVIDERS))
            raise ConfigError(f"--oauth-provider {provider}: Panel has {known}")
        if provider == "pam" and importlib.util.find_spec("pamela") is None:
            raise ConfigError("--oauth-provider pam needs the package pamela: pip install pamela")
        if isinstance(basic, str) and Path(basic).is_file():
            _check_passwords(basic)

    def _tell_panel(self) -> None:
        for ours, theirs in _CONFIG.items():
            value = getattr(self._settings, ours)
            if value is None:
                continue
            value = _as_panels(theirs, value)
            setattr(self._config, theirs, value)
            if ours == "oauth_provider":
                _configured_providers.add(value)
            told = getattr(self._config, theirs)
            if _plain(told) != _plain(value):
                flag = "--" + ours.replace("_", "-")
                raise ConfigError(f"{flag}: Panel's environment variable says something else: give one")

    def _make_encryption(self) -> Any:
        key = self._settings.oauth_encryption_key
        if key is None:
            if self._settings.has_user_tokens:
                log.warning(
                    "users' tokens are signed but not encrypted in their browsers' cookies: "
                    "see --oauth-encryption-key"
                )
            return None
        try:
            fernet = importlib.import_module("cryptography.fernet")
        except ImportError as error:
            raise ConfigError("--oauth-encryption-key needs the package cryptography") from error
        try:
            self._state.encryption = fernet.Fernet(key.encode("ascii"))
        except ValueError as error:
            raise ConfigError(f"--oauth-encryption-key: {error}") from error
        return self._state.encryption

    # -- pages ---------------------------------------------------------------------------------

    def login_handler(self, hooks: LoginHooks | None) -> type[RequestHandler]:
        """Panel's login page, and where the provider sends browsers back to."""
        settings = self._settings
        if settings.oauth_provider is None:
            base = self._auth.BasicLoginHandler
        else:
            base = self._auth.AUTH_PROVIDERS[settings.oauth_provider]
        mixins: tuple[type, ...] = (_Login,)
        if issubclass(base, self._auth.BasicLoginHandler):
            mixins = (_Form, *mixins)
        resources = self._resources
        names = {
            "login": self,
            "hooks": hooks,
            "prefix": settings.prefix,
            "passwords": settings.basic_auth,
            "_login_endpoint": settings.login_endpoint,
            "_login_template": self._template(settings.basic_login_template, resources.BASIC_LOGIN_TEMPLATE),
            "_error_template": self._template(
                settings.oauth_error_template or settings.auth_template, resources.ERROR_TEMPLATE
            ),
        }
        return type("PanelLoginHandler", (*mixins, base), names)

    def logout_handler(self, hooks: LoginHooks | None) -> type[RequestHandler]:
        """Panel's logout page: to see it is to be logged out."""
        settings = self._settings
        names = {
            "login": self,
            "hooks": hooks,
            "_login_endpoint": settings.login_endpoint,
            "_logout_template": self._template(settings.logout_template, self._resources.LOGOUT_TEMPLATE),
        }
        return type("PanelLogoutHandler", (_Logout, self._auth.LogoutHandler), names)

    def own_files(self, page: str, root: str) -> str:
        """The page with Panel's files on this server, whose URLs begin with ``root``; without its fonts."""
        return without_fonts(own_file(page, root + self._resources.LOCAL_DIST))

    def _template(self, path: str | None, default: Any) -> Any:
        return default if path is None else _read_template(path)

    # -- cookies -------------------------------------------------------------------------------

    @property
    def _cookie_secret(self) -> str:
        secret: str = self._config.cookie_secret
        return secret

    def user_of(self, handler: RequestHandler) -> str | None:
        """Who has logged in."""
        signed = handler.get_signed_cookie("user", max_age_days=self._settings.oauth_expiry_days)
        return signed.decode("utf-8", "replace") if signed else None

    def is_way_back(self, handler: RequestHandler) -> bool:
        """Whether a provider sends the browser back, for a login that was begun in it."""
        state = handler.get_query_argument("state", "")
        return bool(state) and _kept_in("state", state) in handler.request.cookies

    def login_of(self, handler: RequestHandler) -> str:
        """Names the login that the browser has; empty where it has none.

        A digest, as it is stored with sessions: whoever reads it there cannot make cookies of it.
        """
        user, login = self.user_of(handler), self._login_in(handler)
        return _name_of(user, login) if user and login else ""

    def _login_in(self, handler: RequestHandler) -> str:
        """What its cookies say, also those of a login with another server that signs like this one."""
        kept = self._read(handler, LOGIN_COOKIE)
        if kept:
            return kept
        brought = "".join(self._read(handler, name) or "" for name in TOKEN_COOKIES)
        return hashlib.sha256(brought.encode()).hexdigest() if brought else ""

    def named(self, handler: RequestHandler, user: str) -> str:
        """Names the login of ``user`` that begins now; the same as before in a browser that has one.

        So its other tabs get the new tokens, too.
        """
        login = self._read(handler, LOGIN_COOKIE) or secrets.token_urlsafe(16)
        self._keep_login(handler, login)
        return _name_of(user, login)

    def _keep_login(self, handler: RequestHandler, login: str) -> None:
        signed = create_signed_value(self._cookie_secret, LOGIN_COOKIE, login).decode()
        self.set_login_cookie(handler.set_cookie, LOGIN_COOKIE, signed)

    def tokens_of(self, handler: RequestHandler) -> UserTokens | None:
        """Those that the browser has brought; None when there is no access token."""
        found = {name: self._read(handler, name) for name in TOKEN_COOKIES}
        if not found["access_token"]:
            return None
        return self.tokens(
            found["access_token"], found["refresh_token"], found["id_token"], _number(found["oauth_expiry"])
        )

    def tokens(
        self, access_token: str, refresh_token: str | None, id_token: str | None, expiry: float | None
    ) -> UserTokens:
        """Their expiry is what the access token says itself, where it can be read."""
        return UserTokens(
            access_token=access_token,
            refresh_token=refresh_token or "",
            id_token=id_token or "",
            issued=self._clock(),
            expiry=self._said_by(access_token) or expiry,
        )

    def expiry(self, expires_in: float | None) -> float | None:
        """In wall-clock seconds, of what expires in so many."""
        return self._clock() + expires_in if expires_in else None

    def cookies(self, tokens: UserTokens) -> dict[str, str]:
        """As Panel reads them in sessions."""
        values = {
            "access_token": self._sealed(tokens.access_token),
            "refresh_token": self._sealed(tokens.refresh_token),
            "id_token": self._sealed(tokens.id_token),
            "oauth_expiry": "" if tokens.expiry is None else str(int(tokens.expiry)),
        }
        secret = self._cookie_secret
        return {
            name: create_signed_value(secret, name, value).decode() for name, value in values.items() if value
        }

    def give(self, handler: RequestHandler, tokens: UserTokens) -> None:
        """Let the browser keep them, and what their login is called."""
        self._keep_login(handler, self._login_in(handler))
        for name, value in self.cookies(tokens).items():
            self.set_login_cookie(handler.set_cookie, name, value)

    def set_login_cookie(self, set_cookie: Callable[..., None], name: str, value: str | bytes) -> None:
        """What is too long for a cookie is left out: the store has it, too."""
        if len(name) + len(value) > MAX_COOKIE_BYTES:
            if name not in self._said_too_long:
                self._said_too_long.add(name)
                log.warning("the %s is too long for a cookie, %d characters: it is in the store only",
                            name, len(value))  # fmt: skip
            return
        days = self._settings.oauth_expiry_days
        set_cookie(name, value, expires_days=days, httponly=True, path=self.path_of(name))

    def forget(self, handler: RequestHandler) -> None:
        """Let the browser forget its login."""
        for name in _OF_LOGIN & handler.request.cookies.keys():
            handler.clear_cookie(name, path=self.path_of(name))

    def path_of(self, name: str) -> str:
        """Which requests the cookie is sent with; what a login needs on its way, with those of its page."""
        return self._settings.cookie_path if name in _OF_LOGIN else "/"

    def _sealed(self, value: str) -> str | bytes:
        if self._encryption is None or not value:
            return value
        sealed: bytes = self._encryption.encrypt(value.encode("utf-8"))
        return sealed

    def unsealed(self, value: str | bytes) -> str:
        """Raises ValueError."""
        data = value.encode("utf-8") if isinstance(value, str) else value
        if self._encryption is None:
            return data.decode("utf-8")
        try:
            return str(self._encryption.decrypt(data).decode("utf-8"))
        except importlib.import_module("cryptography.fernet").InvalidToken as error:
            raise ValueError("it is encrypted with another key") from error

    def _read(self, handler: RequestHandler, name: str) -> str | None:
        signed = handler.get_signed_cookie(name, max_age_days=self._settings.oauth_expiry_days)
        if signed is None:
            return None
        try:
            plain = name in ("oauth_expiry", LOGIN_COOKIE)
            return signed.decode("utf-8") if plain else self.unsealed(signed)
        except ValueError as error:
            log.info("the cookie %s cannot be read: %s", name, error)
            return None

    def _said_by(self, token: str) -> float | None:
        """When it expires, if it is a JWT that says so."""
        try:
            return _number(self._auth.decode_token(token)["exp"])
        except Exception:  # noqa: BLE001 - whatever else it is made of
            return None

    # -- refreshing ----------------------------------------------------------------------------

    async def refresh(self, tokens: UserTokens) -> UserTokens:
        """What the provider gives for the refresh token. Raises RefreshRefused, ProviderAway."""
        client = _NotingClient()
        base = self._auth.AUTH_PROVIDERS[self._settings.oauth_provider]
        handler = _bare(type(base.__name__, (_SilentHandler, base), {"client": client}), self._cookie_secret)
        try:
            answer = await handler._fetch_access_token(
                client_id=self._config.oauth_key,
                client_secret=self._config.oauth_secret,
                refresh_token=tokens.refresh_token,
            )
        except Exception as error:
            # Panel's handlers fail in many ways where a provider is not as they expect.
            if client.refused:
                raise RefreshRefused(str(error)) from error
            raise ProviderAway(f"{type(error).__name__}: {error}") from error
        if len(answer) != 4 or not answer[1]:
            raise RefreshRefused("there is no access token in its answer")
        _, access_token, refresh_token, expires_in = answer
        expiry = self.expiry(expires_in)
        # A provider that gives no new refresh token goes on to take the old one (RFC 6749, section 6).
        return self.tokens(access_token, refresh_token or tokens.refresh_token, tokens.id_token, expiry)


def refusal_page(template: str, text: str) -> str:
    """The page for a user whom an app does not let in, of ``--auth-template``. Raises ConfigError."""
    page: str = _read_template(template).render(
        npm_cdn=importlib.import_module("panel.config").config.npm_cdn,
        title="Panel: Authorization Error",
        error_type="Authorization Error",
        error="User is not authorized.",
        error_msg=escape(text),
    )
    return page


def _read_template(path: str) -> Any:
    try:
        source = Path(path).read_text(encoding="utf-8")
        return importlib.import_module("panel.io.resources")._env.from_string(source)
    except Exception as error:  # whatever the template engine raises
        raise ConfigError(f"{path}: it cannot be used as a template: {error}") from error


def _as_panels(name: str, value: Any) -> Any:
    match name:
        case "oauth_encryption_key":
            return value.encode("ascii")
        case "auth_template":
            return str(Path(value).resolve())
    return list(value) if isinstance(value, tuple) else value


def _check_passwords(path: str) -> None:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--basic-auth {path}: it is no JSON file: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ConfigError(f'--basic-auth {path}: it has to hold names and passwords: {{"ada": "..."}}')


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


# -- what is added to Panel's handlers -------------------------------------------------------------


class _Cookies(RequestHandler):
    """Cookies that replicas share, and that a logout finds again."""

    login: PanelLogin
    hooks: LoginHooks | None

    def set_cookie(self, name: str, value: str | bytes, *args: Any, **kwargs: Any) -> None:
        kwargs["path"] = self.login.path_of(name)
        super().set_cookie(name, value, *args, **kwargs)

    def clear_cookie(self, name: str, **kwargs: Any) -> None:
        super().clear_cookie(name, **{**kwargs, "path": self.login.path_of(name)})


def _name_of(user: str, login: str) -> str:
    return hashlib.sha256(f"{user}\0{login}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _kept_in(what: str, state: str) -> str:
    """The cookie's name."""
    digest = hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_UNDER_WAY_COOKIE}{what}-{digest[:16]}"


class _Login(_Cookies):
    """State and code verifier in cookies of the one login that they belong to: each tab may have one.

    (Panel has one for all; the tabs of a browser that is started again would reject each other's.)
    """

    prefix: str
    passwords: Any
    began: Any = ""

    def initialize(self) -> None:
        self._given: dict[str, str | bytes] = {}
        if self.passwords is not None:
            state = importlib.import_module("panel.io.state").state
            state._server_config.setdefault(self.application, {})["basic_auth"] = self.passwords

    def clear_all_cookies(self, **kwargs: Any) -> None:
        """Of a login that failed: those of one before are still good, and this host may have others."""
        for name in self._given:
            self.clear_cookie(name)

    @property
    def _redirect_uri(self) -> str:
        given: str | None = self.login._settings.oauth_redirect_uri
        return given or f"{self.request.protocol}://{self.request.host}{self.prefix}"

    def set_signed_cookie(self, name: str, value: str | bytes, *args: Any, **kwargs: Any) -> None:
        if name in _OF_LOGIN:
            self._given[name] = value
            signed = self.create_signed_value(name, value)
            self.login.set_login_cookie(self.set_cookie, name, signed)
            if "_xsrf" in self.request.cookies:
                self.clear_cookie("_xsrf")  # which a stranger may have planted before the login
        else:
            super().set_signed_cookie(name, value, *args, **kwargs)

    set_secure_cookie = set_signed_cookie

    async def _fetch_access_token(self, *args: Any, **kwargs: Any) -> Any:
        answer: Any = await super()._fetch_access_token(*args, **kwargs)  # type: ignore[misc]
        user, access_token, refresh_token, expires_in = answer
        if user and self.hooks is not None:
            id_token = self._given.get("id_token")
            expiry = self.login.expiry(expires_in)
            plain = None if id_token is None else self.login.unsealed(id_token)
            tokens = self.login.tokens(access_token, refresh_token, plain, expiry)
            try:
                await self.hooks.began(self.login.named(self, user), tokens)
            except StoreError as error:
                self.clear_all_cookies()
                raise Unavailable(f"You are not logged in: {NO_STORE}") from error
        return answer

    # State and verifier

    def _keep(self, what: str, value: str) -> None:
        name = _kept_in(what, self.began)
        signed = self.create_signed_value(name, value)
        self.set_cookie(name, signed, expires_days=None, max_age=LOGIN_SECONDS, httponly=True)

    def _kept(self, what: str) -> str:
        name = _kept_in(what, self.get_argument("state", ""))
        kept = self.get_signed_cookie(name, max_age_days=LOGIN_SECONDS / 86400)
        if kept is not None:
            self.clear_cookie(name)
        return "" if kept is None else kept.decode("utf-8", "replace")

    def set_state_cookie(self, state: str) -> None:
        begun = [name for name in self.request.cookies if name.startswith(_UNDER_WAY_COOKIE)]
        if len(begun) >= MAX_LOGINS:
            for name in begun:
                self.clear_cookie(name)
        self.began = state
        self._keep("state", state)

    def get_state_cookie(self) -> str:
        return self._kept("state")

    def set_code_cookie(self, code: str) -> None:
        self._keep("code", code)

    def get_code_cookie(self) -> str:
        return self._kept("code")


class _Form(RequestHandler):
    """A form whose answer is checked on a thread: PAM takes its time, above all to say no."""

    _is_right = False

    async def post(self) -> None:
        name, password = self.get_argument("username", ""), self.get_argument("password", "")
        self._is_right = await asyncio.to_thread(super()._validate, name, password)  # type: ignore[misc]
        super().post()

    def _validate(self, username: str, password: str) -> bool:
        return self._is_right


class _Logout(_Cookies):
    async def get(self) -> None:
        login = self.login.login_of(self)
        if login and self.hooks is not None:
            try:
                await self.hooks.ended(login)
            except StoreError as error:
                # What was asked of it may be done when it is back.
                raise Unavailable(f"You may still be logged in: {NO_STORE}") from error
        self.login.forget(self)
        super().get()


# -- handlers without a browser --------------------------------------------------------------------


class _NotingClient:
    """Notes how the provider answered: Panel says the same of a refusal and of a provider in trouble."""

    def __init__(self) -> None:
        self.refused = False

    async def fetch(self, request: HTTPRequest, **options: Any) -> HTTPResponse:
        try:
            return await AsyncHTTPClient().fetch(request, **options)
        except HTTPClientError as error:
            self.refused = 400 <= error.code < 500 and error.code not in (REQUEST_TIMEOUT, TOO_MANY_REQUESTS)
            raise


class _SilentHandler(RequestHandler):
    client: _NotingClient

    def get_auth_http_client(self) -> Any:
        return self.client


class _NoConnection:
    """In the place of a browser's."""

    context = SimpleNamespace(remote_ip="", protocol="http")

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        pass


def _bare(handler: type[RequestHandler], cookie_secret: str) -> Any:
    """A handler of Panel's that no browser waits for."""
    connection: Any = _NoConnection()
    request = HTTPServerRequest("GET", "/", headers=HTTPHeaders(), host="localhost", connection=connection)
    return handler(Application([], cookie_secret=cookie_secret), request)
